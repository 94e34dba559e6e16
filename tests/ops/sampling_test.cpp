// The loops over logits on every instruction set, against sorting and against sums in double; the generator against its authors' vectors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "ops/sampling/logits.h"
#include "support/instruction_sets.h"

namespace dsv4::ops {
namespace {

using testing_support::for_each_instruction_set;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Around whole groups, vectors and words of 32, and a real vocabulary.
const std::vector<size_t> kSizes = {1, 2, 7, 31, 63, 64, 65, 127, 128, 1000, 4096, 129280};

/// Kinds: 0 of a trained model's shape, 1 flat, 2 all equal, 3 few different values and -infinity.
std::vector<float> some_logits(size_t size, int kind, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> logits(size);
  for (float& logit : logits) {
    const float x = normal(random);
    if (kind == 0) logit = 2.5f * x + (random() % 97 == 0 ? 9.0f : 0.0f);
    if (kind == 1) logit = 0.1f * x;
    if (kind == 2) logit = -3.25f;
    if (kind == 3) logit = random() % 5 == 0 ? -kInfinity : static_cast<float>(random() % 4);
  }
  if (kind == 3) logits[size / 2] = 1.0f;  // not all impossible
  return logits;
}

std::vector<int64_t> sorted_ids(const std::vector<float>& logits) {
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  return ids;
}

TEST(Philox, GivesThePublishedVectors) {
  // Random123's kat_vectors, philox4x32 with 10 rounds: zeros, ones, digits of pi.
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox::words({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox::words({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox::words({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Noise, HasItsBitsFromItsCounters) {
  const Noise noise = {0x123456789abcdef0u, 0xfedcba9876543210u};
  const auto words = [](uint32_t first, uint32_t kind) {
    return Philox::words({first, 0x76543210u, 0xfedcba98u, kind}, {0x9abcdef0u, 0x12345678u});
  };
  EXPECT_EQ(coarse_noise(noise, 0), words(0, 0)[0] & 0xFFFF);
  EXPECT_EQ(coarse_noise(noise, 15), words(15, 0)[0] & 0xFFFF);
  EXPECT_EQ(coarse_noise(noise, 16), words(0, 0)[0] >> 16);
  EXPECT_EQ(coarse_noise(noise, 32), words(0, 0)[1] & 0xFFFF);
  EXPECT_EQ(coarse_noise(noise, 127), words(15, 0)[3] >> 16);
  EXPECT_EQ(coarse_noise(noise, 128), words(16, 0)[0] & 0xFFFF);
  EXPECT_EQ(coarse_noise(noise, 129279), words(16 * 1009 + 15, 0)[3] >> 16);
  EXPECT_EQ(noise_bits(noise, 129279), uint64_t{words(16 * 1009 + 15, 0)[3] >> 16} << 32 | words(129279, 1)[0]);
}

TEST(NaturalLog, IsThatOfTheCLibraryWithinAUnit) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200000; ++i) {
    const double x = std::ldexp(1.0 + static_cast<double>(random() >> 11) * 0x1p-53, static_cast<int>(random() % 200) - 120);
    const double expected = std::log(x), found = natural_log(x);
    ASSERT_LE(std::abs(found - expected), std::abs(std::nextafter(expected, 1e9) - expected)) << x;
  }
  EXPECT_EQ(natural_log(1.0), 0.0);
}

TEST(Gumbel, IsMinusLogOfMinusLogBetweenItsBounds) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t most = (uint64_t{1} << 48) - 1, bits = i == 0 ? 0 : i == 1 ? most : random() & most;
    const double u = (static_cast<double>(bits) + 0.5) / 281474976710656.0;
    const double expected = -std::log(-std::log(u)), found = gumbel(bits);
    ASSERT_NEAR(found, expected, 1e-12 * (1.0 + std::abs(expected))) << bits;
    ASSERT_TRUE(found > kLeastGumbel && found < kMostGumbel);
  }
}

TEST(LargestLogit, IsTheFirstOfTheLargest) {
  for_each_instruction_set([] {
    EXPECT_EQ(largest({}).id, -1);
    for (const size_t size : kSizes) {
      for (int kind = 0; kind < 4; ++kind) {
        const auto logits = some_logits(size, kind, static_cast<uint32_t>(size));
        const Largest found = largest(logits);
        EXPECT_EQ(found.id, std::max_element(logits.begin(), logits.end()) - logits.begin()) << size << " " << kind;
        EXPECT_EQ(found.nan, -1);
        EXPECT_EQ(found.value, logits[static_cast<size_t>(found.id)]);
      }
      EXPECT_EQ(largest(std::vector<float>(size, -kInfinity)).id, 0);
    }
    EXPECT_EQ(largest(std::vector<float>{-0.0f, 0.0f}).id, 0);
    EXPECT_EQ(largest(std::vector<float>{1.0f, kInfinity, kInfinity}).id, 1);
  });
}

TEST(LargestLogit, NamesTheFirstNaN) {
  for_each_instruction_set([] {
    for (const size_t size : kSizes) {
      for (const size_t at : {size_t{0}, size / 2, size - 1}) {
        std::vector<float> logits = some_logits(size, 0, 3);
        logits[at] = kNan;
        logits.back() = kNan;
        EXPECT_EQ(largest(logits).nan, static_cast<int64_t>(at)) << size;
      }
    }
  });
}

TEST(TopIds, AreThoseOfASort) {
  for_each_instruction_set([] {
    for (const size_t size : kSizes) {
      for (int kind = 0; kind < 4; ++kind) {
        std::vector<float> logits = some_logits(size, kind, static_cast<uint32_t>(7 * size));
        if (kind == 1 && size == 4096) std::sort(logits.begin(), logits.end());  // each is larger than all before
        const std::vector<int64_t> sorted = sorted_ids(logits);
        for (const int64_t count : {0, 1, 2, 20, 50, 1000, 200000}) {
          const std::vector<int64_t> expected(sorted.begin(), sorted.begin() + std::min<int64_t>(count, std::ssize(sorted)));
          ASSERT_EQ(top_ids(logits, count), expected) << size << " " << kind << " " << count;
        }
      }
    }
  });
}

TEST(Mass, IsTheSumOfTheExponentialsThatAreLeft) {
  for_each_instruction_set([] {
    for (const size_t size : kSizes) {
      for (int kind = 0; kind < 4; ++kind) {
        const auto logits = some_logits(size, kind, static_cast<uint32_t>(3 * size));
        const auto sorted = sorted_ids(logits);
        const float max = logits[static_cast<size_t>(sorted.front())];
        for (const double temperature : {0.3, 1.0, 7.0}) {
          for (const size_t rank : {size_t{0}, size / 3, size - 1}) {
            const int64_t id = sorted[rank];
            if (logits[static_cast<size_t>(id)] == -kInfinity) continue;
            double expected = 0.0;
            for (size_t i = 0; i < rank; ++i)
              expected += std::exp((static_cast<double>(logits[static_cast<size_t>(sorted[i])]) - static_cast<double>(max)) / temperature);
            const double found =
                kMassUnit * static_cast<double>(mass(logits, {max, temperature}, {logits[static_cast<size_t>(id)], id - 1}));
            ASSERT_NEAR(found, expected, 1e-6 * expected + 2e-6) << size << " " << kind << " " << temperature << " " << rank;
          }
        }
      }
    }
  });
}

TEST(Mass, HasTheSameBitsOnEveryInstructionSet) {
  std::vector<uint64_t> first;
  for_each_instruction_set([&] {
    std::vector<uint64_t> found;
    for (const size_t size : kSizes) {
      const auto logits = some_logits(size, 0, 5);
      found.push_back(mass(logits, {*std::max_element(logits.begin(), logits.end()), 0.8}, {}));
    }
    if (first.empty()) first = found;
    EXPECT_EQ(found, first);
  });
}

/// The race without skipping, in plain loops.
int64_t plain_draw(const std::vector<float>& logits, float max, double temperature, const Bound& bound, const Noise& noise) {
  int64_t best = -1;
  double score = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (logits[i] < bound.least || (logits[i] == bound.least && id > bound.last)) continue;
    const double u = (static_cast<double>(noise_bits(noise, id)) + 0.5) / 281474976710656.0;
    const double its = (static_cast<double>(logits[i]) - static_cast<double>(max)) / temperature - std::log(-std::log(u));
    if (its > score) {
      score = its;
      best = id;
    }
  }
  return best;
}

TEST(Draw, IsThePlainRaceOnEveryInstructionSet) {
  for_each_instruction_set([] {
    for (const size_t size : kSizes) {
      const int rounds = size > 100000 ? 6 : 60;
      for (int kind = 0; kind < 4; ++kind) {
        const auto logits = some_logits(size, kind, static_cast<uint32_t>(11 * size));
        const auto sorted = sorted_ids(logits);
        const int64_t first = sorted.front();
        const float max = logits[static_cast<size_t>(first)];
        for (int round = 0; round < rounds; ++round) {
          const double temperature = std::array{0.05, 0.7, 1.0, 3.0, 1e30, 1e-30}[static_cast<size_t>(round % 6)];
          const int64_t id = sorted[sorted.size() / static_cast<size_t>(1 + round % 3) - (round % 3 == 0 ? 1 : 0)];
          const Bound bound = logits[static_cast<size_t>(id)] == -kInfinity ? Bound() : Bound{logits[static_cast<size_t>(id)], id};
          const Noise noise = {static_cast<uint64_t>(round) << 33 | 5, static_cast<uint64_t>(round * 17)};
          const int64_t found = draw(logits, {max, temperature}, bound, noise, first);
          ASSERT_EQ(found, plain_draw(logits, max, temperature, bound, noise)) << size << " " << kind << " " << round;
        }
      }
    }
  });
}

}  // namespace
}  // namespace dsv4::ops
