// Row decoding: table lookups for one-byte formats, plain integer loops that compilers vectorise for the two-byte ones.
#include "checkpoint/dequantize.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "checkpoint/numbers.h"

namespace dsv4 {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

constexpr int64_t kF4Block = 32;

}  // namespace

void dequantize_f8_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  const float* table = kF8E4M3Values.data();
  for (int64_t begin = 0; begin < n; begin += block) {
    const float scale = scales[begin / block];
    const int64_t end = std::min(begin + block, n);
    for (int64_t i = begin; i < end; ++i) out[i] = table[std::to_integer<uint8_t>(weights[i])] * scale;
  }
}

void dequantize_f4_row(const std::byte* weights, const float* scales, int64_t n, float* out) {
  for (int64_t begin = 0; begin < n; begin += kF4Block) {
    const float scale = scales[begin / kF4Block];
    const int64_t end = std::min(begin + kF4Block, n);
    for (int64_t i = begin; i < end; i += 2) {
      const std::array<float, 2>& pair = kF4E2M1Pairs[std::to_integer<uint8_t>(weights[i / 2])];
      out[i] = pair[0] * scale;
      out[i + 1] = pair[1] * scale;
    }
  }
}

void bf16_to_f32_row(const std::byte* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, values + 2 * i, 2);
    out[i] = bf16_to_f32(bits);
  }
}

void f16_to_f32_row(const std::byte* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, values + 2 * i, 2);
    out[i] = f16_to_f32(bits);
  }
}

void e8m0_to_f32_row(const std::byte* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = kF8E8M0Values[std::to_integer<uint8_t>(values[i])];
}

bool all_finite(const float* values, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= (std::bit_cast<uint32_t>(values[i]) & 0x7F800000u) != 0x7F800000u;
  return finite;
}

}  // namespace dsv4
