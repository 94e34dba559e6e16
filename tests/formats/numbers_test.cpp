// Every code of every format against its definition, and rounding at every midpoint between neighbours.
#include "formats/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/independent_numbers.h"

namespace dsv4 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

/// Equal as numbers, in the sign of zero, and in being NaN.
void expect_same(double actual, double expected, uint32_t code) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << "code " << code;
    return;
  }
  EXPECT_EQ(actual, expected) << "code " << code;
  EXPECT_EQ(std::signbit(actual), std::signbit(expected)) << "code " << code;
}

TEST(Numbers, EveryE4m3ByteHasItsValue) {
  for (uint32_t b = 0; b < 256; ++b) expect_same(f8e4m3_to_f32(static_cast<uint8_t>(b)), test::e4m3_value(b), b);
  EXPECT_EQ(f8e4m3_to_f32(0x7E), 448.0f);
  EXPECT_EQ(f8e4m3_to_f32(0x01), 0.001953125f);
}

TEST(Numbers, EveryE8m0ByteIsAPowerOfTwo) {
  for (uint32_t b = 0; b < 256; ++b) expect_same(f8e8m0_to_f32(static_cast<uint8_t>(b)), test::e8m0_value(b), b);
  EXPECT_EQ(f8e8m0_to_f32(0), 0x1p-127f);
}

TEST(Numbers, EveryE2m1NibbleHasItsValue) {
  const double magnitudes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (uint32_t n = 0; n < 16; ++n) {
    const double expected = n & 8 ? -magnitudes[n & 7] : magnitudes[n & 7];
    expect_same(f4e2m1_to_f32(static_cast<uint8_t>(n)), expected, n);
    expect_same(f4e2m1_to_f32(static_cast<uint8_t>(0xA0 | n)), expected, n);  // the upper four bits do not count
    EXPECT_EQ(test::e2m1_value(n), expected);
  }
}

TEST(Numbers, FirstE2m1ValueOfAByteIsItsLowNibble) {
  // Spec 4.2: bytes 05 94 with a scale of 2^-3 are .375 0 .25 -.0625.
  EXPECT_EQ(kF4E2M1Pairs[0x05][0] * 0.125f, 0.375f);
  EXPECT_EQ(kF4E2M1Pairs[0x05][1] * 0.125f, 0.0f);
  EXPECT_EQ(kF4E2M1Pairs[0x94][0] * 0.125f, 0.25f);
  EXPECT_EQ(kF4E2M1Pairs[0x94][1] * 0.125f, -0.0625f);
  for (uint32_t b = 0; b < 256; ++b) {
    expect_same(kF4E2M1Pairs[b][0], test::e2m1_value(b & 15), b);
    expect_same(kF4E2M1Pairs[b][1], test::e2m1_value(b >> 4), b);
  }
}

TEST(Numbers, EveryHalfHasItsValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) expect_same(f16_to_f32(static_cast<uint16_t>(bits)), test::f16_value(bits), bits);
}

TEST(Numbers, EveryBfloatHasItsValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) expect_same(bf16_to_f32(static_cast<uint16_t>(bits)), test::bf16_value(bits), bits);
}

/// For every two neighbouring finite codes: both come back, the point half-way goes to the even one, a step to either side to the
/// nearer one.
template <class Value, class Encode>
void expect_nearest_even(uint32_t sign_bit, uint32_t max_code, Value value, Encode encode) {
  for (const uint32_t sign : {0u, sign_bit}) {
    for (uint32_t code = 0; code < max_code; ++code) {
      const uint32_t low = sign | code, high = sign | (code + 1), even = code % 2 == 0 ? low : high;
      const double middle = (value(low) + value(high)) / 2;
      const auto half_way = static_cast<float>(middle);
      ASSERT_EQ(half_way, middle);
      ASSERT_EQ(encode(static_cast<float>(value(low))), low);
      ASSERT_EQ(encode(static_cast<float>(value(high))), high);
      ASSERT_EQ(encode(half_way), even) << "between codes " << low << " and " << high;
      ASSERT_EQ(encode(std::nextafter(half_way, static_cast<float>(value(low)))), low);
      ASSERT_EQ(encode(std::nextafter(half_way, static_cast<float>(value(high)))), high);
    }
  }
}

TEST(Numbers, HalfRoundsToNearestEven) {
  expect_nearest_even(0x8000, 0x7BFF, test::f16_value, [](float v) { return f32_to_f16(v); });
}

TEST(Numbers, BfloatRoundsToNearestEven) {
  // Neighbours below 2^-126 are multiples of 2^-133; their midpoints are float32 subnormals and exact too.
  expect_nearest_even(0x8000, 0x7F7F, test::bf16_value, [](float v) { return f32_to_bf16(v); });
}

TEST(Numbers, E4m3RoundsToNearestEven) {
  expect_nearest_even(0x80, 0x7E, test::e4m3_value, [](float v) { return f32_to_f8e4m3(v); });
}

TEST(Numbers, E2m1RoundsToNearestEven) {
  expect_nearest_even(0x8, 0x7, test::e2m1_value, [](float v) { return f32_to_f4e2m1(v); });
}

TEST(Numbers, TooLargeForHalfAndBfloatBecomesInfinity) {
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-1e10f), 0xFC00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7C00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(0x1.FEFFFEp127f), 0x7F7F);
  EXPECT_EQ(f32_to_bf16(0x1.FFp127f), 0x7F80);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xFF80);
}

TEST(Numbers, TooLargeForE4m3AndE2m1Saturates) {
  for (const float v : {449.0f, 464.0f, 480.0f, 1e30f, kInfinity}) {
    EXPECT_EQ(f32_to_f8e4m3(v), 0x7E) << v;
    EXPECT_EQ(f32_to_f8e4m3(-v), 0xFE) << v;
    EXPECT_EQ(f32_to_f4e2m1(v), 0x7) << v;
    EXPECT_EQ(f32_to_f4e2m1(-v), 0xF) << v;
  }
}

TEST(Numbers, NanStaysNan) {
  for (const float nan : {kNan, -kNan, std::bit_cast<float>(0x7F800001u), std::bit_cast<float>(0xFFFFFFFFu)}) {
    EXPECT_TRUE(std::isnan(test::f16_value(f32_to_f16(nan))));
    EXPECT_TRUE(std::isnan(test::bf16_value(f32_to_bf16(nan))));
    EXPECT_TRUE(std::isnan(test::e4m3_value(f32_to_f8e4m3(nan))));
    EXPECT_EQ(f32_to_f4e2m1(nan), 7);
  }
}

TEST(Numbers, TinyValuesBecomeZeroOfTheirSign) {
  for (const float tiny : {0.0f, 0x1p-149f, 0x1p-127f}) {
    EXPECT_EQ(f32_to_f16(tiny), 0x0000);
    EXPECT_EQ(f32_to_f16(-tiny), 0x8000);
    EXPECT_EQ(f32_to_f8e4m3(tiny), 0x00);
    EXPECT_EQ(f32_to_f8e4m3(-tiny), 0x80);
    EXPECT_EQ(f32_to_f4e2m1(tiny), 0x0);
    EXPECT_EQ(f32_to_f4e2m1(-tiny), 0x8);
  }
}

}  // namespace
}  // namespace dsv4
