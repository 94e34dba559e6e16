// Bit-level conversions between float32 and the formats of published checkpoints.
#include "formats/numbers.h"

#include <bit>
#include <limits>

namespace dsv4 {
namespace {

static_assert(std::numeric_limits<float>::is_iec559, "float must be IEEE 754 binary32");

constexpr uint32_t kSignBit = 0x80000000u;
constexpr uint32_t kInfinityBits = 0x7F800000u;

/// 2^e as a float32, subnormals included.
constexpr float power_of_two(int e) {
  if (e >= -126) return std::bit_cast<float>(static_cast<uint32_t>(e + 127) << 23);
  return std::bit_cast<float>(1u << (e + 149));
}

constexpr float decode_f8e4m3(uint8_t byte) {
  const uint32_t sign = byte & 0x80u;
  const int exponent = (byte >> 3) & 15;
  const int mantissa = byte & 7;
  if ((byte & 0x7F) == 0x7F) return std::bit_cast<float>(sign << 24 | 0x7FC00000u);
  const float magnitude =
      exponent == 0 ? static_cast<float>(mantissa) * power_of_two(-9) : static_cast<float>(8 + mantissa) * power_of_two(exponent - 10);
  return sign ? -magnitude : magnitude;
}

constexpr float decode_f4e2m1(uint8_t nibble) {
  constexpr float kMagnitudes[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float magnitude = kMagnitudes[nibble & 7];
  return nibble & 8 ? -magnitude : magnitude;
}

constexpr std::array<float, 256> f8e4m3_values() {
  std::array<float, 256> values{};
  for (int b = 0; b < 256; ++b) values[b] = decode_f8e4m3(static_cast<uint8_t>(b));
  return values;
}

constexpr std::array<float, 256> f8e8m0_values() {
  std::array<float, 256> values{};
  for (int b = 0; b < 255; ++b) values[b] = power_of_two(b - 127);
  values[255] = std::numeric_limits<float>::quiet_NaN();
  return values;
}

constexpr std::array<std::array<float, 2>, 256> f4e2m1_pairs() {
  std::array<std::array<float, 2>, 256> pairs{};
  for (int b = 0; b < 256; ++b) pairs[b] = {decode_f4e2m1(static_cast<uint8_t>(b)), decode_f4e2m1(static_cast<uint8_t>(b >> 4))};
  return pairs;
}

/// The upper 32 - `dropped` bits, rounded to nearest even by the dropped ones.
constexpr uint32_t round_off(uint32_t bits, int dropped) {
  const uint32_t even = (bits >> dropped) & 1u;
  return (bits + (1u << (dropped - 1)) - 1u + even) >> dropped;
}

/// A float below 2^22 rounded to the nearest whole number, ties to even: adding 2^23 leaves no room for fraction bits.
uint32_t round_to_whole(float value) { return std::bit_cast<uint32_t>(value + 8388608.0f) & 0x007FFFFFu; }

}  // namespace

constinit const std::array<float, 256> kF8E4M3Values = f8e4m3_values();
constinit const std::array<float, 256> kF8E8M0Values = f8e8m0_values();
constinit const std::array<std::array<float, 2>, 256> kF4E2M1Pairs = f4e2m1_pairs();

float f8e4m3_to_f32(uint8_t byte) { return kF8E4M3Values[byte]; }

float f8e8m0_to_f32(uint8_t byte) { return kF8E8M0Values[byte]; }

float f4e2m1_to_f32(uint8_t nibble) { return decode_f4e2m1(nibble); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & ~kSignBit) > kInfinityBits) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>(round_off(bits, 16));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits & kSignBit) >> 16;
  const uint32_t magnitude = bits & ~kSignBit;
  if (magnitude > kInfinityBits) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65520 and more rounds to infinity
  if (magnitude < 0x38800000u) {                                               // below 2^-14: whole multiples of 2^-24
    return static_cast<uint16_t>(sign | round_to_whole(std::bit_cast<float>(magnitude) * power_of_two(24)));
  }
  return static_cast<uint16_t>(sign | (round_off(magnitude, 13) - ((127u - 15u) << 10)));
}

uint8_t f32_to_f8e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits & kSignBit) >> 24;
  const uint32_t magnitude = bits & ~kSignBit;
  if (magnitude > kInfinityBits) return static_cast<uint8_t>(sign | 0x7Fu);
  if (magnitude >= std::bit_cast<uint32_t>(448.0f)) return static_cast<uint8_t>(sign | 0x7Eu);
  if (magnitude < std::bit_cast<uint32_t>(0.015625f)) {  // below 2^-6: whole multiples of 2^-9
    return static_cast<uint8_t>(sign | round_to_whole(std::bit_cast<float>(magnitude) * power_of_two(9)));
  }
  return static_cast<uint8_t>(sign | (round_off(magnitude, 20) - ((127u - 7u) << 3)));
}

uint8_t f32_to_f4e2m1(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits & kSignBit) >> 28;
  const float magnitude = std::bit_cast<float>(bits & ~kSignBit);
  if (!(magnitude <= std::numeric_limits<float>::max())) return static_cast<uint8_t>(magnitude != magnitude ? 7u : sign | 7u);
  // Half-way points between neighbours; a tie goes to the even code, so every second comparison is strict.
  uint32_t code = 0;
  code += magnitude > 0.25f;
  code += magnitude >= 0.75f;
  code += magnitude > 1.25f;
  code += magnitude >= 1.75f;
  code += magnitude > 2.5f;
  code += magnitude >= 3.5f;
  code += magnitude > 5.0f;
  return static_cast<uint8_t>(sign | code);
}

}  // namespace dsv4
