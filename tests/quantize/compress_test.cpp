// Compression against the definition written out again, on worked examples, and under every instruction set.
#include "quantize/compress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support/independent_numbers.h"
#include "support/instruction_sets.h"

namespace dsv4 {
namespace {

using testing_support::for_each_instruction_set;

constexpr NumberFormat kModes[] = {NumberFormat::kU8, NumberFormat::kI8, NumberFormat::kU4, NumberFormat::kI4};

struct Compressed {
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<uint8_t> zero_points;
};

/// compress_rows with a sentinel behind each result.
Compressed compress(const std::vector<float>& weights, int64_t rows, int64_t columns, StoredFormat how) {
  const int64_t groups = how.group_size == -1 ? 1 : columns / how.group_size;
  Compressed result{std::vector<uint8_t>(weights.size() + 1, 0xA5), std::vector<uint16_t>(static_cast<size_t>(rows * groups) + 1, 0xA5A5),
                    std::vector<uint8_t>(static_cast<size_t>(rows * groups) + 1, 0xA5)};
  compress_rows(weights.data(), rows, columns, how, {result.codes.data(), result.scales.data(), result.zero_points.data()});
  EXPECT_EQ(result.codes.back(), 0xA5);
  EXPECT_EQ(result.scales.back(), 0xA5A5);
  EXPECT_EQ(result.zero_points.back(), 0xA5);
  result.codes.pop_back();
  result.scales.pop_back();
  result.zero_points.pop_back();
  return result;
}

/// The code as a number: two's complement in symmetric modes.
int number(uint8_t code, NumberFormat mode) {
  if (is_asymmetric(mode)) return code;
  return bits_of(mode) == 8 ? static_cast<int8_t>(code) : (code ^ 8) - 8;
}

/// Nearest float16, ties to even, found by bisection over the codes of one sign.
uint16_t nearest_half(float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  uint32_t low = 0, high = 0x7C00;  // infinity counts as 65536 when rounding
  const auto at = [](uint32_t code) { return code == 0x7C00 ? 65536.0 : test::f16_value(code); };
  if (magnitude >= 65536.0) low = 0x7C00;
  while (low < 0x7C00 && high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (at(middle) <= magnitude ? low : high) = middle;
  }
  if (low < 0x7C00) {
    const double below = magnitude - at(low), above = at(low + 1) - magnitude;
    if (above < below || (above == below && low % 2 == 1)) ++low;
  }
  return static_cast<uint16_t>(low | (std::signbit(value) ? 0x8000u : 0u));
}

/// One group, by the sentences of NNCF's documentation and source.
struct Expected {
  float scale;
  int zero_point;
  std::vector<int> codes;
};

Expected by_definition(const float* w, int64_t n, NumberFormat mode) {
  Expected e{};
  const float smallest = *std::min_element(w, w + n), largest = *std::max_element(w, w + n);
  if (mode == NumberFormat::kU8 || mode == NumberFormat::kU4) {
    const int top = mode == NumberFormat::kU8 ? 255 : 15;
    const float low = smallest < 0 ? smallest : 0.0f, high = largest > 0 ? largest : 0.0f;
    e.scale = (high - low) / static_cast<float>(top);
    if (std::abs(e.scale) < std::numeric_limits<float>::epsilon()) e.scale = std::numeric_limits<float>::epsilon();
    e.zero_point = std::min(top, std::max(0, -static_cast<int>(std::rint(low / e.scale))));
    for (int64_t i = 0; i < n; ++i) {
      const float quotient = w[i] / e.scale;
      const float moved = quotient + static_cast<float>(e.zero_point);
      e.codes.push_back(std::min(top, std::max(0, static_cast<int>(std::rint(moved)))));
    }
  } else {
    const int half = mode == NumberFormat::kI8 ? 128 : 8;
    e.scale = std::abs(smallest);
    if (e.scale < largest) e.scale = -largest;
    e.scale /= static_cast<float>(half);
    if (std::abs(e.scale) < std::numeric_limits<float>::epsilon()) e.scale = std::numeric_limits<float>::epsilon();
    for (int64_t i = 0; i < n; ++i) e.codes.push_back(std::min(half - 1, std::max(-half, static_cast<int>(std::rint(w[i] / e.scale)))));
  }
  return e;
}

void expect_definition(const std::vector<float>& weights, int64_t rows, int64_t columns, StoredFormat how) {
  SCOPED_TRACE("mode " + std::to_string(static_cast<int>(how.type)) + ", columns " + std::to_string(columns) + ", group " +
               std::to_string(how.group_size));
  const Compressed actual = compress(weights, rows, columns, how);
  const int64_t group = how.group_size == -1 ? columns : how.group_size;
  for (int64_t g = 0; g < rows * columns / group; ++g) {
    const Expected expected = by_definition(weights.data() + g * group, group, how.type);
    ASSERT_EQ(actual.scales[g], nearest_half(expected.scale)) << "group " << g << ", scale " << expected.scale;
    ASSERT_EQ(actual.zero_points[g], is_asymmetric(how.type) ? expected.zero_point : 0xA5) << "group " << g;
    for (int64_t i = 0; i < group; ++i) {
      const uint8_t code = actual.codes[g * group + i];
      ASSERT_EQ(number(code, how.type), expected.codes[i]) << "group " << g << " at " << i << ": " << weights[g * group + i];
      ASSERT_LT(code, 1 << bits_of(how.type));
    }
  }
}

/// Rows of many kinds: normal, heavy-tailed, one-signed, on a grid of ties, any finite bits, tiny, huge.
std::vector<float> matrix(int kind, int64_t rows, int64_t columns) {
  std::mt19937 random(static_cast<unsigned>(kind * 1000003 + rows * 1009 + columns));
  std::normal_distribution<float> normal;
  std::vector<float> weights(static_cast<size_t>(rows * columns));
  for (float& w : weights) {
    const float x = normal(random);
    switch (kind) {
      case 0:
        w = x;
        break;
      case 1:
        w = x * x * x * x * x * 1e-6f;
        break;
      case 2:
        w = std::fabs(x);
        break;
      case 3:
        w = -std::fabs(x);
        break;
      case 4:
        w = static_cast<float>(static_cast<int>(random() % 25) - 12) * 0.5f;
        break;
      case 5: {
        const auto bits = static_cast<uint32_t>(random());
        const float any = std::bit_cast<float>(bits);
        w = std::isfinite(any) ? any : 1.0f;
        break;
      }
      case 6:
        w = x * 1e-39f;
        break;
      case 7:
        w = x * 0.5e38f;
        break;
      default:
        w = x * 1e-7f;
        break;
    }
  }
  return weights;
}

constexpr int kKinds = 9;

TEST(Compress, EqualsTheDefinitionInGroupsOfEverySize) {
  for_each_instruction_set([] {
    for (int kind = 0; kind < kKinds; ++kind) {
      const std::vector<float> weights = matrix(kind, 5, 384);
      for (const NumberFormat mode : kModes) {
        for (const int64_t group : {-1, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 384}) expect_definition(weights, 5, 384, {mode, group});
      }
    }
  });
}

TEST(Compress, EqualsTheDefinitionForWholeRowsOfEveryLength) {
  for_each_instruction_set([] {
    for (int64_t columns = 1; columns <= 70; ++columns) {
      for (const NumberFormat mode : kModes)
        expect_definition(matrix(static_cast<int>(columns % kKinds), 3, columns), 3, columns, {mode, -1});
    }
  });
}

TEST(Compress, ManyGroupsInOneCall) {
  for_each_instruction_set([] {
    for (const NumberFormat mode : kModes) expect_definition(matrix(0, 65, 512), 65, 512, {mode, 32});
  });
}

TEST(Compress, TiesGoToEven) {
  // Range -1..254 over 255 levels: scale 1, zero point 1.
  const std::vector<float> weights = {-1.0f, 254.0f, 0.5f, 1.5f, 2.5f, 3.5f, -0.5f, 252.5f};
  const Compressed result = compress(weights, 1, 8, {NumberFormat::kU8, -1});
  EXPECT_EQ(result.codes, (std::vector<uint8_t>{0, 255, 2, 2, 4, 4, 0, 254}));
  EXPECT_EQ(result.zero_points, (std::vector<uint8_t>{1}));
  EXPECT_EQ(result.scales, (std::vector<uint16_t>{0x3C00}));
  // Reach 8 to the left: scale 1.
  const Compressed symmetric = compress({-8.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 7.5f, 7.0f}, 1, 8, {NumberFormat::kI4, -1});
  EXPECT_EQ(symmetric.codes, (std::vector<uint8_t>{8, 0, 2, 2, 0, 14, 7, 7}));
}

TEST(Compress, ZeroIsForcedIntoTheRange) {
  const Compressed positive = compress({3.75f, 3.75f, 1.0f, 2.0f}, 1, 4, {NumberFormat::kU4, -1});
  EXPECT_EQ(positive.scales, (std::vector<uint16_t>{0x3400}));  // 3.75 / 15, not 2.75 / 15
  EXPECT_EQ(positive.zero_points, (std::vector<uint8_t>{0}));
  EXPECT_EQ(positive.codes, (std::vector<uint8_t>{15, 15, 4, 8}));
  const Compressed negative = compress({-3.75f, -3.75f, -1.0f, -2.0f}, 1, 4, {NumberFormat::kU4, -1});
  EXPECT_EQ(negative.scales, positive.scales);
  EXPECT_EQ(negative.zero_points, (std::vector<uint8_t>{15}));
  EXPECT_EQ(negative.codes, (std::vector<uint8_t>{0, 0, 11, 7}));
}

TEST(Compress, TheScaleIsNegativeWhereThePositiveSideReachesFurther) {
  const Compressed result = compress({4.0f, -2.0f, 1.0f, -3.5f}, 1, 4, {NumberFormat::kI4, -1});
  EXPECT_EQ(result.scales, (std::vector<uint16_t>{0xB800}));     // -0.5
  EXPECT_EQ(result.codes, (std::vector<uint8_t>{8, 4, 14, 7}));  // -8, 4, -2, 7
  const Compressed equal = compress({4.0f, -4.0f}, 1, 2, {NumberFormat::kI4, -1});
  EXPECT_EQ(equal.scales, (std::vector<uint16_t>{0x3800}));
  EXPECT_EQ(equal.codes, (std::vector<uint8_t>{7, 8}));
}

TEST(Compress, RowsOfZerosGetTheEpsilonScale) {
  for (const float zero : {0.0f, -0.0f}) {
    for (const NumberFormat mode : kModes) {
      const Compressed result = compress(std::vector<float>(40, zero), 2, 20, {mode, 4});
      EXPECT_EQ(result.codes, std::vector<uint8_t>(40, 0));
      EXPECT_EQ(result.scales, std::vector<uint16_t>(10, 0x0002));  // 2^-23 in float16
      if (is_asymmetric(mode)) {
        EXPECT_EQ(result.zero_points, std::vector<uint8_t>(10, 0));
      }
    }
  }
}

TEST(Compress, ConstantRows) {
  const Compressed positive = compress(std::vector<float>(3, 2.55f), 1, 3, {NumberFormat::kU8, -1});
  EXPECT_EQ(positive.codes, std::vector<uint8_t>(3, 255));
  EXPECT_EQ(positive.zero_points, std::vector<uint8_t>(1, 0));
  const Compressed negative = compress(std::vector<float>(3, -2.55f), 1, 3, {NumberFormat::kU8, -1});
  EXPECT_EQ(negative.codes, std::vector<uint8_t>(3, 0));
  EXPECT_EQ(negative.zero_points, std::vector<uint8_t>(1, 255));
  const Compressed symmetric = compress({1.0f, 1.0f, -1.0f, -1.0f}, 2, 2, {NumberFormat::kI8, -1});
  // NNCF compares |min| with max: of a positive constant both are equal, the scale is positive and the code 128 is cut to 127.
  EXPECT_EQ(symmetric.codes, (std::vector<uint8_t>{0x7F, 0x7F, 0x80, 0x80}));
  EXPECT_EQ(symmetric.scales, std::vector<uint16_t>(2, 0x2000));  // 2^-7
}

TEST(Compress, AnOutlierTakesTheWholeRange) {
  std::vector<float> weights(64, 0.001f);
  weights[17] = -1000.0f;
  const Compressed result = compress(weights, 1, 64, {NumberFormat::kU8, -1});
  EXPECT_EQ(result.zero_points[0], 255);
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(result.codes[i], i == 17 ? 0 : 255);
}

TEST(Compress, ScalesBeyondFloat16AreInfinityAndTinyOnesSubnormal) {
  const Compressed huge = compress({3e38f, -3e38f, 1.0f, 0.0f}, 2, 2, {NumberFormat::kU8, -1});
  EXPECT_EQ(huge.scales[0], 0x7C00);  // the range itself overflows float32
  EXPECT_EQ(huge.codes[0], 0);
  const Compressed tiny = compress({3e-4f, 0.0f}, 1, 2, {NumberFormat::kU8, -1});
  EXPECT_EQ(tiny.scales[0], nearest_half(3e-4f / 255.0f));
  EXPECT_LT(tiny.scales[0], 0x0400);
}

TEST(Compress, DequantisedWeightsAreWithinHalfAScale) {
  for (const NumberFormat mode : {NumberFormat::kU8, NumberFormat::kU4}) {
    const std::vector<float> weights = matrix(0, 20, 256);
    const Compressed result = compress(weights, 20, 256, {mode, 32});
    for (size_t i = 0; i < weights.size(); ++i) {
      const double scale = by_definition(weights.data() + i / 32 * 32, 32, mode).scale;
      // The zero point is rounded too, which moves the range's ends out of the levels by up to half a scale.
      EXPECT_LE(std::fabs((result.codes[i] - result.zero_points[i / 32]) * scale - static_cast<double>(weights[i])), scale * 1.001);
    }
  }
}

TEST(PackNibbles, EvenIndicesInTheLowNibbles) {
  for_each_instruction_set([] {
    for (int64_t count = 0; count <= 300; ++count) {
      std::vector<uint8_t> codes(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>((i * 7 + i / 16) % 16);
      std::vector<uint8_t> packed(static_cast<size_t>((count + 1) / 2) + 1, 0xA5);
      pack_nibbles(codes.data(), count, packed.data());
      EXPECT_EQ(packed.back(), 0xA5);
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ((packed[i / 2] >> (i % 2 * 4)) & 15, codes[i]) << i << " of " << count;
      if (count % 2 == 1) {
        EXPECT_EQ(packed[count / 2] >> 4, 0);
      }
    }
  });
}

TEST(RowErrors, MeanSquareOfWhatInt8AsymLoses) {
  std::vector<std::vector<float>> all;
  for_each_instruction_set([&] {
    std::vector<float> together;
    for (const int64_t columns : {1, 3, 16, 33, 512, 4096}) {
      for (const int kind : {0, 1, 2, 3, 4, 8}) {
        const std::vector<float> weights = matrix(kind, 4, columns);
        std::vector<float> errors(4);
        int8_row_errors(weights.data(), 4, columns, errors.data());
        for (int64_t r = 0; r < 4; ++r) {
          const float* row = weights.data() + r * columns;
          const Expected e = by_definition(row, columns, NumberFormat::kU8);
          double sum = 0.0;
          for (int64_t i = 0; i < columns; ++i) {
            const float difference = static_cast<float>(e.codes[i] - e.zero_point) * e.scale - row[i];
            sum += static_cast<double>(difference * difference);
          }
          EXPECT_NEAR(errors[r], sum / static_cast<double>(columns), 1e-6 * sum / static_cast<double>(columns));
        }
        together.insert(together.end(), errors.begin(), errors.end());
      }
    }
    all.push_back(together);
  });
  for (const std::vector<float>& one : all) EXPECT_EQ(one, all.front()) << "instruction sets differ";
}

}  // namespace
}  // namespace dsv4
