// The pure functions of the reference against their definitions: rotations, number formats, Hadamard, sums, threads.
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "dsv4/error.h"
#include "reference/cache_quantization.h"
#include "reference/linear_algebra.h"
#include "reference/rope.h"

namespace dsv4::reference {
namespace {

/// Deterministic values in (-1, 1).
std::vector<float> noise(size_t n, uint32_t seed) {
  std::vector<float> out(n);
  uint32_t state = seed * 2654435761u + 1u;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<double>(state >> 8) / (1 << 23) - 1.0);
  }
  return out;
}

Config flash_rope() {
  Config config;
  config.qk_rope_head_dim = 64;
  config.rope_theta = 10000.0;
  config.compress_rope_theta = 160000.0;
  config.yarn = YarnScaling{16.0, 65536.0, 32.0, 1.0};
  return config;
}

TEST(RopeFrequencies, CompressedLayersHaveTheReleasesYarnTable) {
  // Spec 2.4, "exact table", pairs 0, 1, 15 (kept), 16 to 24 (ramp), 25 and 31 (divided by 16).
  const std::vector<std::pair<size_t, double>> table = {{0, 1.0},           {1, .687656022},     {15, .00363553858},  {16, .002265625},
                                                        {17, .00139680129}, {18, 8.49689727e-4}, {20, 2.96977778e-4}, {22, 9.0867843e-5},
                                                        {24, 1.953125e-5},  {25, 5.37231267e-6}, {31, 5.68052904e-7}};
  for (const LayerKind kind : {LayerKind::kCsa, LayerKind::kHca}) {
    const std::vector<double> f = rope_frequencies(flash_rope(), kind);
    ASSERT_EQ(f.size(), 32u);
    for (const auto& [j, expected] : table) EXPECT_NEAR(f[j], expected, 1e-8 * expected) << "pair " << j;
  }
}

TEST(RopeFrequencies, SlidingLayersAreNotScaled) {
  const std::vector<double> f = rope_frequencies(flash_rope(), LayerKind::kSliding);
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_NEAR(f[8], 0.1, 1e-15);
  EXPECT_NEAR(f[16], 0.01, 1e-16);
  EXPECT_NEAR(f[24], 0.001, 1e-17);
}

TEST(RopeFrequencies, CompressedLayersWithoutScalingUseTheirThetaAlone) {
  Config config = flash_rope();
  config.yarn.reset();
  EXPECT_NEAR(rope_frequencies(config, LayerKind::kHca)[16], 1.0 / 400.0, 1e-16);
}

TEST(RotaryTable, TurnsAdjacentPairsOfTheLastDimsOnly) {
  Config config;
  config.qk_rope_head_dim = 4;
  config.rope_theta = 10000.0;
  const RotaryTable table(config, LayerKind::kSliding, 8);
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  table.rotate(x.data(), 6, 7);
  const double first = 7.0, second = 7.0 * 0.01;  // theta^0 and theta^(-1/2)
  EXPECT_EQ(x[0], 1.0f);
  EXPECT_EQ(x[1], 2.0f);
  EXPECT_NEAR(x[2], 3 * std::cos(first) - 4 * std::sin(first), 1e-5);
  EXPECT_NEAR(x[3], 3 * std::sin(first) + 4 * std::cos(first), 1e-5);
  EXPECT_NEAR(x[4], 5 * std::cos(second) - 6 * std::sin(second), 1e-5);
  EXPECT_NEAR(x[5], 5 * std::sin(second) + 6 * std::cos(second), 1e-5);
  table.rotate_back(x.data(), 6, 7);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], static_cast<double>(i + 1), 1e-5);
}

TEST(Hadamard, IsTheSylvesterMatrixOverTheRootOfItsSize) {
  for (const int64_t n : {1, 2, 32, 128}) {
    const std::vector<float> x = noise(static_cast<size_t>(n), 3);
    std::vector<float> y = x;
    hadamard(y.data(), n);
    for (uint32_t a = 0; a < n; ++a) {
      double expected = 0.0;
      for (uint32_t b = 0; b < n; ++b) expected += (std::popcount(a & b) % 2 == 0 ? 1.0 : -1.0) * x[b];
      EXPECT_NEAR(y[a], expected / std::sqrt(static_cast<double>(n)), 1e-6) << n << " row " << a;
    }
  }
}

TEST(Hadamard, RefusesOtherSizes) {
  std::vector<float> x(24);
  EXPECT_THROW(hadamard(x.data(), 24), Error);
}

/// A format by its definition: every non-negative value, from exponent and mantissa fields.
struct Format {
  std::vector<double> values;  // ascending; the index is the code, so that its last bit tells even from odd
  double max;
  double floor;  // smallest amax
  int64_t block;
};

Format make_format(int exponents, int mantissas, int bias, size_t count, double floor, int64_t block) {
  Format f;
  for (int e = 0; e < exponents; ++e) {
    for (int m = 0; m < mantissas; ++m) {
      const double fraction = static_cast<double>(m) / mantissas;
      f.values.push_back(e == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0 + fraction, e - bias));
    }
  }
  f.values.resize(count);
  f.max = f.values.back();
  f.floor = floor;
  f.block = block;
  return f;
}

Format e4m3() { return make_format(16, 8, 7, 127, 1e-4, 64); }  // code 127 is NaN
Format e2m1() { return make_format(4, 2, 1, 8, std::ldexp(6.0, -126), 32); }

/// The nearest value by search; of two equally near ones that with the even code.
double nearest_of(const Format& f, double v) {
  const double size = std::fabs(v);
  size_t best = 0;
  for (size_t code = 1; code < f.values.size(); ++code) {
    const double closer = std::fabs(size - f.values[code]) - std::fabs(size - f.values[best]);
    if (closer < 0.0 || (closer == 0.0 && code % 2 == 0)) best = code;
  }
  return std::copysign(f.values[best], v);
}

std::vector<double> rounded_by_definition(const Format& f, const std::vector<float>& x) {
  std::vector<double> out;
  for (size_t begin = 0; begin < x.size(); begin += static_cast<size_t>(f.block)) {
    const size_t end = std::min(x.size(), begin + static_cast<size_t>(f.block));
    float amax = static_cast<float>(f.floor);
    for (size_t i = begin; i < end; ++i) amax = std::max(amax, std::fabs(x[i]));
    const float ratio = amax * static_cast<float>(1.0 / f.max);  // float32, as the kernels form it
    int exponent = 0;
    const double fraction = std::frexp(static_cast<double>(ratio), &exponent);  // ratio = fraction * 2^exponent, fraction in [0.5, 1)
    if (fraction == 0.5) --exponent;
    const double scale = std::exp2(exponent);
    for (size_t i = begin; i < end; ++i) out.push_back(nearest_of(f, x[i] / scale) * scale);
  }
  return out;
}

void expect_rounding(const Format& format, void (*round)(float*, int64_t), const std::vector<float>& x, const std::string& what) {
  std::vector<float> got = x;
  round(got.data(), static_cast<int64_t>(got.size()));
  const std::vector<double> want = rounded_by_definition(format, x);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(got[i], want[i]) << what << " value " << i << ": " << x[i];
}

TEST(CacheQuantizationFormats, RoundThroughTheNearestValueOfTheFormat) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    for (const size_t n : {size_t{24}, size_t{64}, size_t{448}, size_t{100}}) {
      std::vector<float> x = noise(n, seed);
      for (float& v : x) v = std::ldexp(v * v * v, static_cast<int>(seed) - 10);  // many small values: subnormals of the format
      expect_rounding(e4m3(), round_through_fp8, x, "fp8");
      expect_rounding(e2m1(), round_through_fp4, x, "fp4");
    }
  }
}

TEST(CacheQuantizationFormats, TiesGoToTheEvenCode) {
  // The first value fixes the scale at 1 (448/448, 6/6 are exactly 1 in float32 or a hair off; 256 and 4 are safely below).
  expect_rounding(e4m3(), round_through_fp8, {256, 17, 19, 21, 23, -17, -19, 8.5f, 9.5f, 0x1p-10f, 3 * 0x1p-10f}, "fp8");
  expect_rounding(e2m1(), round_through_fp4, {4, .25f, .75f, 1.25f, 1.75f, 2.5f, 3.5f, -.25f, -2.5f, -3.5f}, "fp4");
  std::vector<float> x = {4, .25f, .75f, 1.25f, 1.75f, 2.5f, 3.5f};
  round_through_fp4(x.data(), 7);
  EXPECT_EQ(x, (std::vector<float>{4, 0, 1, 1, 2, 2, 4}));
}

TEST(CacheQuantizationFormats, ScalesFollowTheFloat32ProductAroundPowersOfTwo) {
  for (int e = -8; e < 9; ++e) {
    for (const float step : {std::nextafter(1.0f, 0.0f), 1.0f, std::nextafter(1.0f, 2.0f)}) {
      const float fp8 = std::ldexp(448.0f * step, e), fp4 = std::ldexp(6.0f * step, e);
      expect_rounding(e4m3(), round_through_fp8, {fp8, fp8 * 0.37f, -fp8 * 0.71f, fp8 * 0.011f}, "fp8");
      expect_rounding(e2m1(), round_through_fp4, {fp4, fp4 * 0.37f, -fp4 * 0.71f, fp4 * 0.11f}, "fp4");
    }
  }
}

TEST(CacheQuantizationFormats, TinyAndZeroBlocksStayFinite) {
  expect_rounding(e4m3(), round_through_fp8, std::vector<float>(70, 0.0f), "fp8");
  expect_rounding(e4m3(), round_through_fp8, {1e-7f, -3e-7f, 1e-9f, 5e-5f}, "fp8");
  expect_rounding(e2m1(), round_through_fp4, std::vector<float>(33, 0.0f), "fp4");
  expect_rounding(e2m1(), round_through_fp4, {0x1p-126f, -0x1p-125f}, "fp4");
}

TEST(CacheQuantizationFormats, EachBlockHasItsOwnScale) {
  std::vector<float> x(128, 1.0f);
  x[0] = 400.0f * 1024.0f;  // leaves only multiples of 1024 * 2^-9 in its block of 64
  x[1] = 1.1f;
  x[64] = 1.0f;
  x[65] = 1.125f;
  round_through_fp8(x.data(), 128);
  EXPECT_EQ(x[1], 2.0f);  // the smallest subnormal times 1024; 1.1 lies nearer to it than to 0
  EXPECT_EQ(x[65], 1.125f);
}

TEST(Linear, IsTheMatrixProductWhateverTheSizes) {
  for (const int64_t tokens : {1, 3, 4, 9, 70}) {
    for (const int64_t in : {1, 3, 4, 63, 4096}) {
      Matrix x(tokens, in), w(5, in);
      x.values = noise(x.values.size(), 1);
      w.values = noise(w.values.size(), 2);
      const Matrix64 y = linear64(x, w, 2);
      const Matrix rounded = linear(x, w, 1);
      ASSERT_EQ(y.rows, tokens);
      ASSERT_EQ(y.cols, 5);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t o = 0; o < 5; ++o) {
          double expected = 0.0;
          for (int64_t i = 0; i < in; ++i) expected += static_cast<double>(x.row(t)[i]) * w.row(o)[i];
          EXPECT_NEAR(y.row(t)[o], expected, 1e-11);
          EXPECT_EQ(rounded.row(t)[o], static_cast<float>(y.row(t)[o]));
        }
      }
    }
  }
}

TEST(ParallelFor, CoversEveryItemOnce) {
  for (const int threads : {0, 1, 2, 5}) {
    for (const int64_t n : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      parallel_for(threads, n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count, 1);
    }
  }
}

TEST(ParallelFor, ThrowsWhatABodyThrew) {
  const auto body = [](int64_t begin, int64_t end) {
    if (begin <= 700 && 700 < end) throw std::runtime_error("item 700");
  };
  for (const int threads : {1, 3}) EXPECT_THROW(parallel_for(threads, 1000, body), std::runtime_error);
}

}  // namespace
}  // namespace dsv4::reference
