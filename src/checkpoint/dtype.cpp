// Sizes and spellings of the element types.
#include "checkpoint/dtype.h"

#include <array>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

struct DTypeFacts {
  DType dtype;
  std::string_view name;
  size_t size;
};

constexpr std::array<DTypeFacts, 7> kFacts = {{
    {DType::kF8E4M3, "F8_E4M3", 1},
    {DType::kF8E8M0, "F8_E8M0", 1},
    {DType::kI8, "I8", 1},
    {DType::kBF16, "BF16", 2},
    {DType::kF16, "F16", 2},
    {DType::kF32, "F32", 4},
    {DType::kI64, "I64", 8},
}};

const DTypeFacts& facts(DType dtype) {
  for (const DTypeFacts& f : kFacts) {
    if (f.dtype == dtype) return f;
  }
  fail("unknown element type number ", static_cast<int>(dtype));
}

}  // namespace

size_t dtype_size(DType dtype) { return facts(dtype).size; }

std::string_view dtype_name(DType dtype) { return facts(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const DTypeFacts& f : kFacts) {
    if (f.name == name) return f.dtype;
  }
  return std::nullopt;
}

std::string shape_string(const Shape& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

}  // namespace dsv4
