// Row conversions under every instruction set: the bits of the conversions of single numbers, at any length and address.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "formats/dequantize.h"
#include "formats/numbers.h"
#include "support/independent_numbers.h"
#include "support/instruction_sets.h"

namespace dsv4 {
namespace {

using testing_support::for_each_instruction_set;

/// The bits of a float; all NaN count as one.
uint32_t bits_of_number(float value) { return std::isnan(value) ? 0x7FC00000u : std::bit_cast<uint32_t>(value); }

void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(bits_of_number(actual[i]), bits_of_number(expected[i])) << "at " << i << ": " << actual[i] << ", expected " << expected[i];
}

/// Lengths around every vector width, and one of a real row.
const std::vector<int64_t> kLengths = {0, 1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 511, 512, 514, 4096};

std::vector<std::byte> random_bytes(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = std::byte(random() & 0xFF);
  return bytes;
}

/// Scales of all magnitudes, with zero, a subnormal and, last, NaN and infinity.
std::vector<float> some_scales(size_t count) {
  const float special[] = {1.0f, 0x1p-127f, 0x1p127f, 0.0f, -1.25f, 3.14159f, 0x1p-149f, std::nanf(""), HUGE_VALF};
  std::vector<float> scales(count);
  for (size_t i = 0; i < count; ++i) scales[i] = special[i % 9];
  return scales;
}

template <class Row>
std::vector<float> guarded(int64_t n, const Row& row) {
  std::vector<float> out(static_cast<size_t>(n) + 1, 12345.0f);
  row(out.data());
  EXPECT_EQ(out.back(), 12345.0f) << "written past the end";
  out.pop_back();
  return out;
}

TEST(Rows, EveryFp8ByteTimesItsBlocksScale) {
  for_each_instruction_set([] {
    for (const int64_t block : {1, 7, 128}) {
      for (const int64_t n : kLengths) {
        std::vector<std::byte> bytes = random_bytes(static_cast<size_t>(n) + 1, 3);
        for (size_t i = 0; i < 256 && i < bytes.size(); ++i) bytes[i] = std::byte(i);
        const std::vector<float> scales = some_scales(static_cast<size_t>(n / block + 1));
        std::vector<float> expected;
        for (int64_t i = 0; i < n; ++i)
          expected.push_back(static_cast<float>(test::e4m3_value(std::to_integer<uint32_t>(bytes[i + 1]))) * scales[i / block]);
        expect_same_bits(guarded(n, [&](float* out) { dequantize_f8_row(bytes.data() + 1, scales.data(), block, n, out); }), expected);
      }
    }
  });
}

TEST(Rows, EveryFp4NibbleTimesItsBlocksScale) {
  for_each_instruction_set([] {
    for (const int64_t length : kLengths) {
      for (const int64_t block : {16, 32}) {
        const int64_t n = length / 2 * 2;
        const std::vector<std::byte> bytes = random_bytes(static_cast<size_t>(n / 2) + 1, 4);
        const std::vector<float> scales = some_scales(static_cast<size_t>(n / block + 1));
        std::vector<float> expected;
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t byte = std::to_integer<uint32_t>(bytes[1 + i / 2]);
          expected.push_back(static_cast<float>(test::e2m1_value(i % 2 == 0 ? byte & 15 : byte >> 4)) * scales[i / block]);
        }
        expect_same_bits(guarded(n, [&](float* out) { dequantize_f4_row(bytes.data() + 1, scales.data(), block, n, out); }), expected);
      }
    }
  });
}

TEST(Rows, Int4CodesLessTheirZeroPointTimesTheirScale) {
  for_each_instruction_set([] {
    for (const int64_t block : {1, 7, 8, 32, 128, 4096}) {
      for (const int64_t n : kLengths) {
        const std::vector<std::byte> bytes = random_bytes(static_cast<size_t>(n / 2) + 2, 6);
        const std::vector<float> scales = some_scales(static_cast<size_t>(n / block + 1));
        std::vector<float> zeros(scales.size()), expected;
        for (size_t g = 0; g < zeros.size(); ++g) zeros[g] = static_cast<float>(g * 7 % 17);
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t pair = std::to_integer<uint32_t>(bytes[1 + i / 2]);
          const auto code = static_cast<float>(i % 2 == 0 ? pair & 15 : pair >> 4);
          expected.push_back((code - zeros[i / block]) * scales[i / block]);
        }
        const auto row = [&](float* out) { dequantize_i4_row(bytes.data() + 1, scales.data(), zeros.data(), block, n, out); };
        expect_same_bits(guarded(n, row), expected);
      }
    }
  });
}

TEST(Rows, OneFactorOrDivisorOfAll) {
  for_each_instruction_set([] {
    for (const int64_t n : kLengths) {
      for (const float factor : {0.7f, 0x1p-20f, 1733.0f}) {
        const std::vector<float> values = some_scales(static_cast<size_t>(n));
        std::vector<float> products, quotients;
        for (const float value : values) {
          products.push_back(value * factor);
          quotients.push_back(value / factor);
        }
        for (const bool divides : {false, true}) {
          const auto row = [&](float* out) {
            std::copy(values.begin(), values.end(), out);
            scale_row(factor, divides, n, out);
          };
          expect_same_bits(guarded(n, row), divides ? quotients : products);
        }
      }
    }
  });
}

TEST(Rows, EveryE4m3Byte) {
  std::vector<std::byte> bytes(256);
  std::vector<float> expected, actual(256);
  for (uint32_t b = 0; b < 256; ++b) {
    bytes[b] = std::byte(b);
    expected.push_back(static_cast<float>(test::e4m3_value(b)));
  }
  e4m3_to_f32_row(bytes.data(), 256, actual.data());
  expect_same_bits(actual, expected);
}

TEST(Rows, EveryHalfAndBfloat) {
  std::vector<std::byte> bytes(2 * 65536 + 1);
  std::vector<float> halves, bfloats;
  for (uint32_t code = 0; code < 65536; ++code) {
    const auto bits = static_cast<uint16_t>(code);
    std::memcpy(bytes.data() + 1 + 2 * code, &bits, 2);
    halves.push_back(static_cast<float>(test::f16_value(code)));
    bfloats.push_back(static_cast<float>(test::bf16_value(code)));
  }
  for_each_instruction_set([&] {
    expect_same_bits(guarded(65536, [&](float* out) { f16_to_f32_row(bytes.data() + 1, 65536, out); }), halves);
    expect_same_bits(guarded(65536, [&](float* out) { bf16_to_f32_row(bytes.data() + 1, 65536, out); }), bfloats);
    for (const int64_t n : kLengths) {
      expect_same_bits(guarded(n, [&](float* out) { f16_to_f32_row(bytes.data() + 1, n, out); }), {halves.begin(), halves.begin() + n});
      expect_same_bits(guarded(n, [&](float* out) { bf16_to_f32_row(bytes.data() + 1, n, out); }), {bfloats.begin(), bfloats.begin() + n});
    }
  });
}

/// Every half, the midpoints to its neighbour and what lies beside them, both signs; random bits; the specials.
std::vector<float> numbers_to_round() {
  std::vector<float> numbers;
  for (uint32_t code = 0; code < 0x7C00; ++code) {
    const double low = test::f16_value(code);
    const double high = code == 0x7BFF ? 65536.0 : test::f16_value(code + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    for (const float value : {static_cast<float>(low), middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
      numbers.push_back(value);
      numbers.push_back(-value);
    }
  }
  std::mt19937 random(5);
  for (int i = 0; i < 100000; ++i) numbers.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  for (const float value : {HUGE_VALF, std::nanf(""), 3.4e38f, 0x1p-149f, 0x1p-126f}) {
    numbers.push_back(value);
    numbers.push_back(-value);
  }
  return numbers;
}

TEST(Rows, HalvesAreRoundedToNearestEven) {
  const std::vector<float> numbers = numbers_to_round();
  std::vector<uint16_t> expected;
  for (const float value : numbers) expected.push_back(f32_to_f16(value));  // whose test compares with the definition
  for_each_instruction_set([&] {
    std::vector<uint16_t> out(numbers.size() + 1, 0x1234);
    f32_to_f16_row(numbers.data(), static_cast<int64_t>(numbers.size()), out.data());
    EXPECT_EQ(out.back(), 0x1234);
    for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(out[i], expected[i]) << numbers[i];
    for (const int64_t n : kLengths) {
      std::vector<uint16_t> some(static_cast<size_t>(n) + 1, 0x1234);
      f32_to_f16_row(numbers.data() + 3, n, some.data());
      EXPECT_EQ(some.back(), 0x1234);
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(some[i], expected[i + 3]);
    }
  });
}

TEST(Rows, OneInfinityOrNanAnywhereIsSeen) {
  for_each_instruction_set([] {
    for (const int64_t n : kLengths) {
      std::vector<float> values(static_cast<size_t>(n), -3.4e38f);
      EXPECT_TRUE(all_finite(values.data(), n)) << n;
      for (int64_t i = 0; i < n; i += n < 100 ? 1 : 37) {
        for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf(""), -std::nanf("")}) {
          values[i] = bad;
          EXPECT_FALSE(all_finite(values.data(), n)) << n << " at " << i;
        }
        values[i] = 0x1p-149f;
      }
    }
  });
}

}  // namespace
}  // namespace dsv4
