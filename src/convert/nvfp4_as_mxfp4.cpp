// NVFP4 rows as MXFP4.
#include "convert/nvfp4_as_mxfp4.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "quantize/mxfp4.h"

namespace dsv4 {
namespace {

constexpr int64_t kGroup = 32;  // inputs that share a scale in MXFP4
constexpr const char* kNote = "; take DeepSeek's own release, whose experts are MXFP4, or choose int4 or int8";

template <class... Parts>
[[noreturn]] void refuse(const Checkpoint& checkpoint, const std::string& tensor, const Parts&... reason) {
  const TensorView& codes = checkpoint.stored(tensor);
  fail(path_text(codes.file->path()), ": tensor ", quote(codes.stored_name), ": NVFP4 that --weight-format mxfp4 cannot keep: ", reason...,
       kNote);
}

/// Row by row, as bytes.
const uint8_t* row_of(const TensorView& view, int64_t row) {
  const size_t row_bytes = view.bytes.size() / static_cast<size_t>(view.shape[0]);
  return reinterpret_cast<const uint8_t*>(view.bytes.data()) + static_cast<size_t>(row) * row_bytes;
}

/// Of the factor of all scales.
int exponent_of(const Checkpoint& checkpoint, const std::string& tensor) {
  const GlobalScale second = checkpoint.second_scale(tensor);
  const std::optional<int> exponent = power_of_two(second.value);
  if (!exponent) refuse(checkpoint, tensor, "its second scale ", second.value, " is no power of two");
  return second.divides ? -*exponent : *exponent;
}

}  // namespace

void check_power_of_two_scales(const Checkpoint& checkpoint, const std::string& tensor) {
  const int64_t columns = checkpoint.shape(tensor)[1];
  if (columns % kGroup != 0) refuse(checkpoint, tensor, "its rows have ", columns, " inputs, no multiple of ", kGroup);
  exponent_of(checkpoint, tensor);
}

void nvfp4_as_mxfp4(const Checkpoint& checkpoint, const WeightPart& part, int64_t row_begin, int64_t row_end, std::vector<uint8_t>& codes,
                    std::vector<uint8_t>& scales) {
  const TensorView &stored = checkpoint.stored(part.tensor), &stored_scales = *checkpoint.scale(part.tensor);
  const int64_t groups = checkpoint.shape(part.tensor)[1] / kGroup, rows = row_end - row_begin;
  const int exponent = exponent_of(checkpoint, part.tensor);
  codes.resize(static_cast<size_t>(rows * groups * kGroup / 2));
  scales.resize(static_cast<size_t>(rows * groups));
  if (!codes.empty()) std::memcpy(codes.data(), row_of(stored, row_begin), codes.size());
  for (int64_t row = 0; row < rows; ++row) {
    const auto bad = nvfp4_row_to_mxfp4(codes.data() + row * groups * kGroup / 2, row_of(stored_scales, row_begin + row), exponent, groups,
                                        scales.data() + row * groups);
    if (bad) {
      refuse(checkpoint, part.tensor, "the scales of inputs ", *bad * kGroup, " to ", (*bad + 1) * kGroup - 1, " of row ", row_begin + row,
             " are not one power of two");
    }
  }
}

void check_some_scales(const Checkpoint& checkpoint, const WeightPart& part) {
  if (checkpoint.encoding(part.tensor) != Encoding::kNvfp4) return;
  constexpr int64_t kRowsAtOnce = 64;
  std::vector<uint8_t> codes, scales;
  for (int64_t row = part.row_begin; row < part.row_end; row += kRowsAtOnce) {
    nvfp4_as_mxfp4(checkpoint, part, row, std::min(row + kRowsAtOnce, part.row_end), codes, scales);
  }
  checkpoint.release(part.tensor);
}

}  // namespace dsv4
