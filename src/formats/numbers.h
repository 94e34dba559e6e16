// The number formats of published checkpoints, decoded exactly to float32 and encoded as the releases do.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace dsv4 {

/// The value of every byte, for loops over rows.
extern const std::array<float, 256> kF8E4M3Values;
extern const std::array<float, 256> kF8E8M0Values;
/// The two values of every FP4 byte: low nibble first.
extern const std::array<std::array<float, 2>, 256> kF4E2M1Pairs;

/// e4m3fn byte -> value: 1-4-3 bits, bias 7, max 448, 0x7F/0xFF NaN, subnormal step 2^-9.
float f8e4m3_to_f32(uint8_t byte);
/// e8m0 byte b -> 2^(b-127); 0 -> 2^-127 (a float32 subnormal), 255 -> NaN.
float f8e8m0_to_f32(uint8_t byte);
/// FP4 (e2m1) nibble, low four bits -> 0 .5 1 1.5 2 3 4 6 and their negatives (bit 3).
float f4e2m1_to_f32(uint8_t nibble);

// These two are here, and in arithmetic without any choice, so that loops over rows are vectorised.
inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
inline float f16_to_f32(uint16_t bits) {
  constexpr uint32_t kRebias = (127u - 15u) << 23;
  constexpr float kSmallestNormal = 0x1p-14f;
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t shifted = static_cast<uint32_t>(bits & 0x7FFFu) << 13;
  const uint32_t exponent = shifted >> 23;
  const uint32_t is_top = (exponent + 1) >> 5;                // 1 for infinity and NaN: their exponent is rebiased twice
  const uint32_t is_subnormal = 0u - ((exponent - 1) >> 31);  // all ones for exponent 0
  const uint32_t normal = shifted + kRebias + is_top * kRebias;
  // mantissa * 2^-24 as (2^-14 + mantissa * 2^-24) - 2^-14: exact, and right also where the CPU flushes subnormals.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(shifted + kRebias + (1u << 23)) - kSmallestNormal);
  return std::bit_cast<float>(sign | (subnormal & is_subnormal) | (normal & ~is_subnormal));
}

/// Round to nearest even. NaN stays NaN; too large becomes infinity for bf16/f16 and saturates at +-448 for e4m3.
uint16_t f32_to_bf16(float value);
uint16_t f32_to_f16(float value);
uint8_t f32_to_f8e4m3(float value);
/// Nearest e2m1 code, ties to the even code, saturating at +-6. The format has no NaN: NaN becomes +6.
uint8_t f32_to_f4e2m1(float value);

}  // namespace dsv4
