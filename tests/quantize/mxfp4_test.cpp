// NVFP4 rows as MXFP4: the same values, and what cannot be kept is refused.
#include "quantize/mxfp4.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

namespace dsv4 {
namespace {

/// By definition: 1 sign, 2 exponent bits of bias 1, 1 fraction bit.
double e2m1(int code) {
  const int exponent = code >> 1 & 3;
  const double magnitude = exponent == 0 ? 0.5 * (code & 1) : std::ldexp(1.0 + 0.5 * (code & 1), exponent - 1);
  return code & 8 ? -magnitude : magnitude;
}

/// 2^exponent as E4M3: normal from 2^-6, subnormal steps of 2^-9.
uint8_t e4m3_power(int exponent) { return static_cast<uint8_t>(exponent >= -6 ? (exponent + 7) << 3 : 1 << (exponent + 9)); }

struct Group {
  std::array<uint8_t, 16> codes{};
  std::array<uint8_t, 2> scales{};
};

/// The values by the E8M0 scale, or nothing where the group was refused.
std::optional<std::vector<double>> converted(Group group, int exponent) {
  uint8_t e8m0 = 0;
  if (nvfp4_row_to_mxfp4(group.codes.data(), group.scales.data(), exponent, 1, &e8m0)) return std::nullopt;
  std::vector<double> values;
  for (const uint8_t pair : group.codes) {
    for (const int code : {pair & 15, pair >> 4}) values.push_back(e2m1(code) * std::ldexp(1.0, e8m0 - 127));
  }
  return values;
}

std::vector<double> original(const Group& group, double first, double second, int exponent) {
  std::vector<double> values;
  for (size_t i = 0; i < 16; ++i) {
    const double scale = std::ldexp(i < 8 ? first : second, exponent);
    for (const int code : {group.codes[i] & 15, group.codes[i] >> 4}) values.push_back(e2m1(code) * scale);
  }
  return values;
}

Group random_group(unsigned seed) {
  std::mt19937 random(seed);
  Group group;
  for (uint8_t& pair : group.codes) pair = static_cast<uint8_t>(random());
  return group;
}

TEST(Mxfp4, OnePowerOfTwoKeepsEveryValue) {
  for (int power = -9; power <= 8; ++power) {
    for (const int exponent : {-100, -7, 0, 20}) {
      Group group = random_group(static_cast<unsigned>(power + 10));
      group.scales = {e4m3_power(power), e4m3_power(power)};
      const double scale = std::ldexp(1.0, power);
      EXPECT_EQ(converted(group, exponent), original(group, scale, scale, exponent)) << power << ", " << exponent;
    }
  }
}

TEST(Mxfp4, AHalfOfZerosTakesTheOthersScale) {
  for (const bool second : {false, true}) {
    Group group = random_group(3);
    group.scales = {e4m3_power(3), e4m3_power(3)};
    for (size_t i = 0; i < 8; ++i) group.codes[i + (second ? 8 : 0)] = 0x80;   // +0 and -0
    for (const uint8_t scale : {uint8_t{0x35}, e4m3_power(-2), uint8_t{0}}) {  // no power of two, another one, none
      group.scales[second ? 1 : 0] = scale;
      EXPECT_EQ(converted(group, 0), original(group, 8.0, 8.0, 0));
    }
  }
}

TEST(Mxfp4, AScaleOfZeroMakesZeros) {
  Group group = random_group(4);
  group.scales = {0, e4m3_power(1)};
  EXPECT_EQ(converted(group, 0), original(group, 0.0, 2.0, 0));
  group.scales = {0, 0x80};
  EXPECT_EQ(converted(group, 0), original(group, 0.0, 0.0, 0));
}

TEST(Mxfp4, OtherScalesAreRefused) {
  Group group = random_group(5);
  group.scales = {e4m3_power(3), e4m3_power(2)};
  EXPECT_FALSE(converted(group, 0)) << "two scales";
  for (const uint8_t scale : {uint8_t{0x39}, uint8_t{0x03}, uint8_t{0x7F}, uint8_t{0xB8}}) {  // 1.125, 3 * 2^-9, NaN, -1
    group.scales = {scale, scale};
    EXPECT_FALSE(converted(group, 0)) << static_cast<int>(scale);
  }
  Group zeros;
  zeros.scales = {0x7F, e4m3_power(0)};
  EXPECT_FALSE(converted(zeros, 0)) << "NaN";
  group.scales = {e4m3_power(0), e4m3_power(0)};
  EXPECT_TRUE(converted(group, 127));
  EXPECT_FALSE(converted(group, 128)) << "above E8M0";
  EXPECT_TRUE(converted(group, -127));
  EXPECT_FALSE(converted(group, -128)) << "below E8M0";
}

TEST(Mxfp4, TheFirstBadGroupIsNamed) {
  std::vector<uint8_t> codes(3 * 16, 0x11), scales = {0x38, 0x38, 0x38, 0x38, 0x38, 0x39}, e8m0(3);
  EXPECT_EQ(nvfp4_row_to_mxfp4(codes.data(), scales.data(), 0, 3, e8m0.data()), 2);
  scales.back() = 0x38;
  EXPECT_FALSE(nvfp4_row_to_mxfp4(codes.data(), scales.data(), 0, 3, e8m0.data()));
  EXPECT_EQ(e8m0, std::vector<uint8_t>(3, 127));
}

TEST(Mxfp4, PowersOfTwo) {
  for (const int exponent : {-149, -126, -3, 0, 1, 127}) EXPECT_EQ(power_of_two(std::ldexp(1.0f, exponent)), exponent);
  for (const float other : {0.0f, -1.0f, 3.0f, 1.0000001f, HUGE_VALF, std::nanf("")}) EXPECT_FALSE(power_of_two(other)) << other;
}

}  // namespace
}  // namespace dsv4
