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
  size_t bits;
};

constexpr std::array<DTypeFacts, 22> kFacts = {{
    {DType::kF8E4M3, "F8_E4M3", 8},
    {DType::kF8E8M0, "F8_E8M0", 8},
    {DType::kF4, "F4", 4},
    {DType::kI8, "I8", 8},
    {DType::kU8, "U8", 8},
    {DType::kBF16, "BF16", 16},
    {DType::kF16, "F16", 16},
    {DType::kF32, "F32", 32},
    {DType::kI32, "I32", 32},
    {DType::kI64, "I64", 64},
    {DType::kBool, "BOOL", 8},
    {DType::kF6E2M3, "F6_E2M3", 6},
    {DType::kF6E3M2, "F6_E3M2", 6},
    {DType::kF8E5M2, "F8_E5M2", 8},
    {DType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    {DType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    {DType::kI16, "I16", 16},
    {DType::kU16, "U16", 16},
    {DType::kU32, "U32", 32},
    {DType::kF64, "F64", 64},
    {DType::kU64, "U64", 64},
    {DType::kC64, "C64", 64},
}};
constexpr DTypeFacts kUnknownFacts = {DType::kUnknown, "unknown", 0};

const DTypeFacts& facts(DType dtype) {
  if (dtype == DType::kUnknown) return kUnknownFacts;
  for (const DTypeFacts& f : kFacts) {
    if (f.dtype == dtype) return f;
  }
  fail("unknown element type number ", static_cast<int>(dtype));
}

}  // namespace

size_t dtype_bits(DType dtype) { return facts(dtype).bits; }

size_t dtype_size(DType dtype) {
  const size_t bits = dtype_bits(dtype);
  if (bits == 0 || bits % 8 != 0) fail("elements of type ", dtype_name(dtype), " have no size in bytes; this is a mistake in dsv4");
  return bits / 8;
}

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
