// Rounding through FP8 and FP4 by float32 arithmetic without choices, so that the loops are vectorised.
#include "ops/attention/cache_rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dsv4::ops {

namespace {

float power_of_two(int exponent) { return std::bit_cast<float>(static_cast<uint32_t>(std::clamp(exponent, -126, 127) + 127) << 23); }

// From the bits, as DeepSeek's kernels do: the exponent, one more if there is a mantissa.
int ceil_log2(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  return static_cast<int>((bits >> 23) & 0xFFu) - 127 + ((bits & 0x7FFFFFu) != 0 ? 1 : 0);
}

// x / scale to the nearest value of a format with kMantissa bits, smallest normal exponent kLowest, largest value kLargest; ties to even; times scale. The step
// at a value is 2^(its exponent - kMantissa); adding and subtracting 1.5 * 2^23 steps rounds to a multiple of it.
template <int kMantissa, int kLowest, int kLargest>
void round_block(float* x, int64_t n, float smallest_amax) {
  float amax = smallest_amax;
  for (int64_t i = 0; i < n; ++i) amax = std::max(amax, std::abs(x[i]));
  const int exponent = ceil_log2(amax * (1.0f / static_cast<float>(kLargest)));
  const float scale = power_of_two(exponent), inverse = power_of_two(-exponent);
  constexpr uint32_t kLowestBits = static_cast<uint32_t>(kLowest + 127) << 23;
  constexpr uint32_t kToMagic = static_cast<uint32_t>(23 - kMantissa) << 23;
  for (int64_t i = 0; i < n; ++i) {
    const float v = std::min(std::max(x[i] * inverse, -static_cast<float>(kLargest)), static_cast<float>(kLargest));
    const uint32_t exponent_bits = std::max(std::bit_cast<uint32_t>(v) & 0x7F800000u, kLowestBits);
    const float magic = std::bit_cast<float>((exponent_bits + kToMagic) | 0x400000u);
    x[i] = ((v + magic) - magic) * scale;
  }
}

template <int kMantissa, int kLowest, int kLargest>
void round_blocks(float* x, int64_t n, int64_t block, float smallest_amax) {
  for (int64_t b = 0; b < n; b += block) round_block<kMantissa, kLowest, kLargest>(x + b, std::min(block, n - b), smallest_amax);
}

}  // namespace

void hadamard(float* x, int64_t n) {
  for (int64_t half = 1; half < n; half *= 2) {
    for (int64_t first = 0; first < n; first += 2 * half) {
      for (int64_t i = first; i < first + half; ++i) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(n));
  for (int64_t i = 0; i < n; ++i) x[i] *= scale;
}

void round_through_fp8(float* x, int64_t n) { round_blocks<3, -6, 448>(x, n, 64, 1e-4f); }

void round_through_fp4(float* x, int64_t n) { round_blocks<1, 0, 6>(x, n, 32, 6.0f * 0x1p-126f); }

}  // namespace dsv4::ops
