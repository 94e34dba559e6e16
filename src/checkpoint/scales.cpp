// Decoding of scales.
#include "checkpoint/scales.h"

#include <cstring>

#include "formats/dequantize.h"

namespace dsv4 {

void decode_scale_row(const TensorView& scale, int64_t row, std::vector<float>& out) {
  const int64_t cols = scale.shape[1];
  out.resize(static_cast<size_t>(cols));
  const std::byte* source = scale.bytes.data() + row * cols * static_cast<int64_t>(dtype_size(scale.dtype));
  switch (scale.dtype) {
    case DType::kF32:
      std::memcpy(out.data(), source, out.size() * sizeof(float));
      return;
    case DType::kBF16:
      return bf16_to_f32_row(source, cols, out.data());
    case DType::kF16:
      return f16_to_f32_row(source, cols, out.data());
    case DType::kF8E4M3:
      return e4m3_to_f32_row(source, cols, out.data());
    default:
      return e8m0_to_f32_row(source, cols, out.data());
  }
}

}  // namespace dsv4
