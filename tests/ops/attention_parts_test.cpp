// Parts of the op Attention alone: selection of the largest scores, rounding of cached values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "ops/attention/cache_rounding.h"
#include "ops/attention/indexer.h"
#include "reference/cache_quantization.h"

namespace dsv4::ops {

namespace {

std::vector<int32_t> largest_by_sorting(const std::vector<float>& scores, int64_t k) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)]; });
  order.resize(static_cast<size_t>(k));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<int32_t> selected(const std::vector<float>& scores, int64_t k) {
  std::vector<int32_t> places(static_cast<size_t>(k), -1);
  select_largest(scores.data(), static_cast<int64_t>(scores.size()), k, places.data());
  return places;
}

}  // namespace

TEST(SelectLargest, EqualsASortWithTiesToTheFirst) {
  std::mt19937 random(3);
  for (const int distinct : {1, 2, 7, 100000}) {
    for (const int64_t n : {1, 2, 5, 64, 1000}) {
      std::vector<float> scores;
      for (int64_t i = 0; i < n; ++i) {
        const float value = static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(distinct)) - distinct / 2);
        scores.push_back(distinct > 7 ? std::ldexp(value, static_cast<int>(random() % 60) - 30) : value);
      }
      for (const int64_t k : {int64_t{1}, (n + 1) / 2, n}) EXPECT_EQ(selected(scores, k), largest_by_sorting(scores, k)) << n << " " << k;
    }
  }
}

TEST(SelectLargest, TakesBothZerosAsEqualAndInfinitiesAsNumbers) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(selected({-0.0f, 0.0f, -0.0f}, 2), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(selected({-kInfinity, 1.0f, kInfinity, -1.0f}, 2), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(selected({-kInfinity, -1.0f, -kInfinity}, 2), (std::vector<int32_t>{0, 1}));
}

TEST(SelectLargest, GivesDifferentPlacesWhateverTheValues) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& scores : {std::vector<float>{nan, nan, nan, nan}, {1.0f, nan, -nan, 2.0f}, {-nan, 3.0f, nan, -nan}}) {
    for (int64_t k = 1; k <= 4; ++k) {
      const std::vector<int32_t> places = selected(scores, k);
      for (size_t i = 0; i < places.size(); ++i) {
        EXPECT_TRUE(places[i] >= 0 && places[i] < 4);
        EXPECT_TRUE(i == 0 || places[i - 1] < places[i]);
      }
    }
  }
}

TEST(SelectEntries, TakesLongContextsInBlocksOfTokens) {
  constexpr int64_t kTokens = 40, kFirst = 120000, kHeads = 2, kDims = 4, kTopK = 3;
  std::mt19937 random(12);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  const auto values = [&](int64_t n) {
    std::vector<float> v(static_cast<size_t>(n));
    for (float& x : v) x = normal(random);
    return v;
  };
  std::vector<float> keys = values((kFirst + kTokens) * kDims);
  for (size_t i = kFirst * kDims; i < keys.size(); ++i) keys[i] *= 8.0f;  // those that not all tokens see are selected often
  const std::vector<float> weights = values(kTokens * kHeads), q = values(kTokens * kHeads * kDims);
  std::vector<float> working = q;
  AttentionAttributes a;
  a.ratio = 1;
  a.overlap = true;
  a.index_heads = kHeads;
  a.index_head_dim = kDims;
  a.index_topk = kTopK;
  ops::Run run;
  run.rows = kTokens;
  run.position = kFirst;
  run.cache.index_keys = reinterpret_cast<std::byte*>(keys.data());
  Scratch places;
  const Indexer x{a, places_of(std::span(&run, 1), kTokens, places), kTokens, working.data(), weights.data(), {}};
  std::vector<int32_t> found(kTokens * kTopK, -1);
  Scratch scratch;
  select_entries(x, found.data(), scratch);
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> scores;
    for (int64_t i = 0; i < kFirst + t + 1; ++i) {
      double score = 0.0;
      for (int64_t h = 0; h < kHeads; ++h) {
        double affinity = 0.0;
        for (int64_t d = 0; d < kDims; ++d) {
          affinity += static_cast<double>(q[static_cast<size_t>((t * kHeads + h) * kDims + d)]) * keys[static_cast<size_t>(i * kDims + d)];
        }
        score += weights[static_cast<size_t>(t * kHeads + h)] * std::max(0.0, affinity);
      }
      scores.push_back(static_cast<float>(score));
    }
    const std::vector<int32_t> selection(found.begin() + t * kTopK, found.begin() + (t + 1) * kTopK);
    EXPECT_EQ(selection, largest_by_sorting(scores, kTopK)) << "token " << t;
  }
}

TEST(CacheRounding, EqualsTheReferenceBitForBit) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  for (const int64_t n : {1, 16, 31, 64, 100, 448}) {
    for (int repeat = 0; repeat < 200; ++repeat) {
      const int magnitude = static_cast<int>(random() % 100) - 60;
      std::vector<float> x(static_cast<size_t>(n));
      for (float& v : x) {
        v = std::ldexp(normal(random), magnitude - static_cast<int>(random() % 8));
        if (random() % 16 == 0) v = std::ldexp(std::round(8 * normal(random)), magnitude - 3);  // ties
        if (random() % 32 == 0) v = 0.0f;
      }
      std::vector<float> fp8 = x, fp4 = x, expected8 = x, expected4 = x;
      round_through_fp8(fp8.data(), n);
      round_through_fp4(fp4.data(), n);
      reference::round_through_fp8(expected8.data(), n);
      reference::round_through_fp4(expected4.data(), n);
      ASSERT_EQ(fp8, expected8) << "n " << n << " magnitude 2^" << magnitude;
      ASSERT_EQ(fp4, expected4) << "n " << n << " magnitude 2^" << magnitude;
    }
  }
}

TEST(CacheRounding, TransformsAsTheReference) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  for (const int64_t n : {1, 2, 8, 128}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& v : x) v = normal(random);
    std::vector<float> expected = x;
    hadamard(x.data(), n);
    reference::hadamard(expected.data(), n);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], expected[i], 1e-5f);
  }
}

}  // namespace dsv4::ops
