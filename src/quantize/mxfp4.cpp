// Joining the scales of two neighbouring halves.
#include "quantize/mxfp4.h"

#include <algorithm>
#include <cmath>

#include "formats/numbers.h"

namespace dsv4 {
namespace {

constexpr int64_t kHalfBytes = 8;  // of 16 codes
constexpr int kBias = 127;         // of E8M0
constexpr int kHighest = 254;

/// 16 values with one scale.
struct Half {
  bool zero = false;            ///< all values are
  std::optional<int> exponent;  ///< of the scale, where it is a power of two
};

Half half_of(uint8_t* codes, uint8_t scale_byte, int factor) {
  constexpr uint8_t kMagnitudes = 0x77, kSigns = 0x88;
  const float scale = f8e4m3_to_f32(scale_byte);
  Half half;
  if (scale == 0.0f) {
    for (int64_t i = 0; i < kHalfBytes; ++i) codes[i] &= kSigns;
  }
  half.zero = !std::isnan(scale) && std::all_of(codes, codes + kHalfBytes, [](uint8_t pair) { return (pair & kMagnitudes) == 0; });
  if (const std::optional<int> own = power_of_two(scale)) half.exponent = *own + factor;
  return half;
}

/// The exponent that both halves have, or that the one has which is not zero.
std::optional<int> common_exponent(const Half& a, const Half& b) {
  if (a.zero && b.zero) return a.exponent ? a.exponent : b.exponent ? b.exponent : 0;
  if (a.zero) return b.exponent;
  if (b.zero) return a.exponent;
  return a.exponent == b.exponent ? a.exponent : std::nullopt;
}

}  // namespace

std::optional<int> power_of_two(float value) {
  int exponent = 0;
  if (std::frexp(value, &exponent) != 0.5f) return std::nullopt;
  return exponent - 1;
}

std::optional<int64_t> nvfp4_row_to_mxfp4(uint8_t* codes, const uint8_t* scales, int exponent, int64_t groups, uint8_t* e8m0) {
  for (int64_t g = 0; g < groups; ++g) {
    uint8_t* first = codes + 2 * kHalfBytes * g;
    const Half a = half_of(first, scales[2 * g], exponent), b = half_of(first + kHalfBytes, scales[2 * g + 1], exponent);
    std::optional<int> common = common_exponent(a, b);
    if (common && a.zero && b.zero) common = std::clamp(*common, -kBias, kHighest - kBias);
    if (!common || *common < -kBias || *common > kHighest - kBias) return g;
    e8m0[g] = static_cast<uint8_t>(*common + kBias);
  }
  return std::nullopt;
}

}  // namespace dsv4
