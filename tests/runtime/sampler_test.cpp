// Sampling: greedy choice, filters, penalties and masks against plain loops, frequencies of tokens against their probabilities, log-probabilities.
#include "dsv4/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "dsv4/error.h"
#include "runtime/plain_sampler.h"
#include "support/instruction_sets.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using testing_support::for_each_instruction_set;
using testing_support::plain_sample;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<int64_t> draw(const SamplerOptions& options, const std::vector<float>& logits, int count) {
  Sampler sampler(options);
  std::vector<int64_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.sample(logits, i));
  return tokens;
}

/// Logits of these probabilities at temperature 1.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3.0));
  return logits;
}

/// Counts must lie within five standard deviations of N*p, each token's on its own.
void expect_frequencies(const std::vector<int64_t>& tokens, const std::vector<double>& probabilities) {
  std::map<int64_t, double> counts;
  for (const int64_t token : tokens) counts[token] += 1.0;
  const double n = static_cast<double>(tokens.size());
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = probabilities[i];
    EXPECT_NEAR(counts[static_cast<int64_t>(i)], n * p, 5.0 * std::sqrt(n * p * (1.0 - p))) << "token " << i;
  }
}

TEST(Argmax, TakesTheLargest) {
  EXPECT_EQ(argmax(std::vector<float>{-3.0f, 2.0f, 1.0f}), 1);
  EXPECT_EQ(argmax(std::vector<float>{-3.0f, -2.0f, -1.0f}), 2);
  EXPECT_EQ(argmax(std::vector<float>{-kInfinity, -1e30f, -kInfinity}), 1);
  EXPECT_EQ(argmax(std::vector<float>{5.0f}), 0);
}

TEST(Argmax, TakesTheLowestOfEqualOnes) {
  EXPECT_EQ(argmax(std::vector<float>{1.0f, 4.0f, 0.0f, 4.0f, 4.0f}), 1);
  EXPECT_EQ(argmax(std::vector<float>{0.0f, -0.0f}), 0);
  EXPECT_EQ(argmax(std::vector<float>{-0.0f, 0.0f}), 0);
}

TEST(Argmax, RefusesNaNWhereverItIs) {
  for (size_t place = 0; place < 3; ++place) {
    std::vector<float> logits = {1.0f, 2.0f, 3.0f};
    logits[place] = kNan;
    try {
      argmax(logits);
      FAIL() << "NaN at " << place << " was accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("NaN at token " + std::to_string(place)));
    }
  }
}

TEST(Sampler, IsGreedyAtTemperatureZero) {
  for (const uint64_t seed : {0u, 1u, 99u}) {
    EXPECT_EQ(draw({.temperature = 0.0, .top_p = 1.0, .seed = seed}, {0.0f, 2.0f, 1.999f, 2.0f}, 5), std::vector<int64_t>(5, 1));
  }
}

TEST(Sampler, RefusesNaNAtEveryTemperature) {
  for (const double temperature : {0.0, 0.8}) {
    Sampler sampler({.temperature = temperature, .top_p = 0.9, .seed = 1});
    EXPECT_THROW(sampler.sample(std::vector<float>{0.0f, kNan}, 0), Error);
  }
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double temperature : {-0.1, nan, infinity}) {
    EXPECT_THROW(Sampler({.temperature = temperature, .top_p = 1.0, .seed = 0}), Error) << temperature;
  }
  for (const double top_p : {0.0, -0.5, 1.0001, nan}) {
    EXPECT_THROW(Sampler({.temperature = 1.0, .top_p = top_p, .seed = 0}), Error) << top_p;
  }
  for (const double min_p : {-0.1, 1.1, nan}) EXPECT_THROW(Sampler({.min_p = min_p}), Error) << min_p;
  for (const double penalty : {0.0, -1.0, nan, infinity}) EXPECT_THROW(Sampler({.repetition_penalty = penalty}), Error) << penalty;
  for (const double penalty : {-2.1, 2.1, nan, infinity}) {
    EXPECT_THROW(Sampler({.presence_penalty = penalty}), Error) << penalty;
    EXPECT_THROW(Sampler({.frequency_penalty = penalty}), Error) << penalty;
  }
  for (const double bias : {-100.5, 101.0, nan, infinity}) EXPECT_THROW(Sampler({.logit_bias = {{0, bias}}}), Error) << bias;
  EXPECT_THROW(Sampler({.top_k = -1}), Error);
  EXPECT_THROW(Sampler({.logit_bias = {{-1, 1.0}}}), Error);
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheSoftmax) {
  const std::vector<float> logits = {0.3f, -1.2f, 2.0f, 0.9f, 1.9f, -4.0f};
  for (const double temperature : {0.5, 1.0, 2.5}) {
    std::vector<double> p;
    for (const float logit : logits) p.push_back(std::exp(static_cast<double>(logit) / temperature));
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= total;
    SCOPED_TRACE(temperature);
    expect_frequencies(draw({.temperature = temperature, .top_p = 1.0, .seed = 7}, logits, 200000), p);
  }
}

TEST(Sampler, DrawsFromTheSmallestSetThatReachesTopP) {
  // Not in the order of probability, so that the nucleus is not a prefix.
  const std::vector<double> p = {0.125, 0.5, 0.0625, 0.25, 0.0625};
  const std::vector<float> logits = logits_of(p);
  const std::vector<std::pair<double, std::set<int64_t>>> cases = {
      {1e-9, {1}},       {0.49, {1}},        {0.51, {1, 3}},      {0.74, {1, 3}},
      {0.76, {0, 1, 3}}, {0.874, {0, 1, 3}}, {0.9, {0, 1, 2, 3}}, {1.0, {0, 1, 2, 3, 4}},
  };
  for (const auto& [top_p, nucleus] : cases) {
    SCOPED_TRACE(top_p);
    const std::vector<int64_t> tokens = draw({.temperature = 1.0, .top_p = top_p, .seed = 3}, logits, 100000);
    EXPECT_EQ(std::set<int64_t>(tokens.begin(), tokens.end()), nucleus);
    double mass = 0.0;
    for (const int64_t token : nucleus) mass += p[static_cast<size_t>(token)];
    std::vector<double> renormalised(p.size(), 0.0);
    for (const int64_t token : nucleus) renormalised[static_cast<size_t>(token)] = p[static_cast<size_t>(token)] / mass;
    expect_frequencies(tokens, renormalised);
  }
}

TEST(Sampler, AppliesTheTemperatureBeforeTheNucleus) {
  // At temperature 1/2 probabilities 0.4 0.35 0.25 become 0.464 0.355 0.181: 0.8 needs two tokens instead of three.
  const std::vector<float> logits = logits_of({0.4, 0.35, 0.25});
  const std::vector<int64_t> cold = draw({.temperature = 0.5, .top_p = 0.8, .seed = 5}, logits, 5000);
  EXPECT_EQ(std::set<int64_t>(cold.begin(), cold.end()), (std::set<int64_t>{0, 1}));
  const std::vector<int64_t> warm = draw({.temperature = 1.0, .top_p = 0.8, .seed = 5}, logits, 5000);
  EXPECT_EQ(std::set<int64_t>(warm.begin(), warm.end()), (std::set<int64_t>{0, 1, 2}));
}

TEST(Sampler, NeverDrawsImpossibleTokens) {
  const std::vector<int64_t> tokens = draw({.temperature = 1.0, .top_p = 1.0, .seed = 11}, {-kInfinity, 0.0f, -kInfinity, 0.5f}, 20000);
  EXPECT_EQ(std::set<int64_t>(tokens.begin(), tokens.end()), (std::set<int64_t>{1, 3}));
}

TEST(Sampler, StaysFiniteForLogitsFarApart) {
  EXPECT_EQ(draw({.temperature = 1e-6, .top_p = 1.0, .seed = 2}, {-3e38f, 3e38f, 1e38f}, 100), std::vector<int64_t>(100, 1));
}

TEST(Sampler, RepeatsItsStreamForASeed) {
  const std::vector<float> logits(64, 0.0f);
  const SamplerOptions one = {.temperature = 1.0, .top_p = 1.0, .seed = 41};
  EXPECT_EQ(draw(one, logits, 500), draw(one, logits, 500));
  SamplerOptions other = one;
  other.seed = 42;
  EXPECT_NE(draw(one, logits, 500), draw(other, logits, 500));
}

/// Of many kinds: a trained model's shape, flat, few different values, impossible ones.
std::vector<float> random_logits(std::mt19937& random) {
  const size_t size = std::array<size_t, 8>{1, 2, 17, 63, 64, 129, 1000, 4111}[random() % 8];
  std::normal_distribution<float> normal;
  const uint32_t kind = static_cast<uint32_t>(random() % 5);
  std::vector<float> logits(size);
  for (float& logit : logits) {
    logit = kind == 0 ? 0.1f * normal(random) : kind == 1 ? static_cast<float>(random() % 5) - 2.0f : 3.0f * normal(random);
    if (kind == 2 && random() % 50 == 0) logit += 8.0f;
    if (kind == 3 && random() % 3 == 0) logit = -kInfinity;
    if (kind == 4) logit = logit * 1e3f;
  }
  logits[random() % size] = 1.0f;
  return logits;
}

template <class T, size_t N>
T one_of(std::mt19937& random, const std::array<T, N>& values) {
  return values[random() % N];
}

SamplerOptions random_options(std::mt19937& random) {
  return {.temperature = one_of(random, std::array{0.0, 0.2, 0.7, 1.0, 1.7, 50.0}),
          .top_p = one_of(random, std::array{1.0, 1.0, 0.95, 0.5, 0.1, 1e-9}),
          .top_k = one_of(random, std::array<int64_t, 7>{0, 0, 1, 2, 40, 1000, 100000}),
          .min_p = one_of(random, std::array{0.0, 0.0, 1e-6, 0.05, 0.5, 1.0}),
          .seed = static_cast<uint64_t>(random()) << 31 ^ random()};
}

TEST(Sampler, ChoosesAsPlainLoopsDo) {
  std::mt19937 random(17);
  for (int i = 0; i < 6000; ++i) {
    const std::vector<float> logits = random_logits(random);
    const SamplerOptions options = random_options(random);
    const auto position = static_cast<int64_t>(random());
    Sampler sampler(options);
    ASSERT_EQ(sampler.sample(logits, position), plain_sample(options, logits, position))
        << i << ": " << logits.size() << " logits, T " << options.temperature << ", top-p " << options.top_p << ", top-k " << options.top_k
        << ", min-p " << options.min_p;
  }
}

TEST(Sampler, ChoosesTheSameOnEveryInstructionSet) {
  std::vector<int64_t> first;
  for_each_instruction_set([&] {
    std::mt19937 random(23);
    std::vector<int64_t> chosen;
    for (int i = 0; i < 1500; ++i) {
      const std::vector<float> logits = random_logits(random);
      Sampler sampler(random_options(random));
      chosen.push_back(sampler.sample(logits, i));
    }
    if (first.empty()) first = chosen;
    EXPECT_EQ(chosen, first);
  });
}

TEST(Sampler, PenalisesBiasesAndMasksAsPlainLoopsDo) {
  std::mt19937 random(29);
  for (int i = 0; i < 3000; ++i) {
    const std::vector<float> logits = random_logits(random);
    const auto size = static_cast<int64_t>(logits.size());
    SamplerOptions options = random_options(random);
    options.repetition_penalty = one_of(random, std::array{1.0, 1.3, 0.5});
    options.presence_penalty = one_of(random, std::array{0.0, 1.5, -2.0});
    options.frequency_penalty = one_of(random, std::array{0.0, 0.7, -0.1});
    for (uint32_t n = static_cast<uint32_t>(random() % 3); n > 0; --n)
      options.logit_bias.push_back({static_cast<int64_t>(random()) % size, static_cast<double>(random() % 200) - 100.0});
    std::vector<int64_t> prompt, text;
    for (uint32_t n = static_cast<uint32_t>(random() % 20); n > 0; --n)
      (n % 2 ? prompt : text).push_back(static_cast<int64_t>(random()) % size);
    std::vector<bool> allowed;
    std::vector<uint32_t> words;
    if (random() % 2) {
      words.assign((logits.size() + 31) / 32, 0);
      for (size_t id = 0; id < logits.size(); ++id) {
        // Whole words of either kind too.
        allowed.push_back(std::isfinite(logits[id]) && (id / 32 % 3 == 0 ? random() % 2 : id / 32 % 3 == 1));
        if (allowed.back()) words[id / 32] |= 1u << (id % 32);
      }
      if (std::find(allowed.begin(), allowed.end(), true) == allowed.end()) continue;
    }
    Sampler sampler(options);
    sampler.see_prompt(prompt);
    for (const int64_t token : text) sampler.accept(token);
    ASSERT_EQ(sampler.sample(logits, i, words), plain_sample(options, logits, i, prompt, text, allowed)) << i;
  }
}

TEST(Sampler, DependsOnThePositionAndNotOnWhatWasDrawnBefore) {
  const std::vector<float> logits(700, 0.0f);
  const SamplerOptions options = {.temperature = 1.0, .seed = 3};
  const std::vector<int64_t> tokens = draw(options, logits, 50);
  EXPECT_GT(std::set<int64_t>(tokens.begin(), tokens.end()).size(), 40u);
  for (const int64_t position : {49, 3, 3, 20}) EXPECT_EQ(Sampler(options).sample(logits, position), tokens[static_cast<size_t>(position)]);
}

TEST(Sampler, KeepsTheLowestIdsOfEqualLogits) {
  const std::vector<float> logits(1000, 2.5f);
  const auto largest_drawn = [&](const SamplerOptions& options) {
    const std::vector<int64_t> tokens = draw(options, logits, 3000);
    return *std::max_element(tokens.begin(), tokens.end());
  };
  EXPECT_EQ(largest_drawn({.temperature = 1.0, .top_k = 3}), 2);
  EXPECT_EQ(largest_drawn({.temperature = 1.0, .top_p = 0.0095}), 9);
  EXPECT_GT(largest_drawn({.temperature = 1.0, .min_p = 1.0}), 900) << "equally likely ones stay";
}

TEST(Sampler, LeavesAllThatAFilterBeyondTheVocabularyKeeps) {
  const std::vector<float> logits = {0.0f, 1.0f, -kInfinity, 0.5f};
  const std::vector<int64_t> all = draw({.temperature = 1.0, .seed = 4}, logits, 200);
  EXPECT_EQ(draw({.temperature = 1.0, .top_k = 4, .seed = 4}, logits, 200), all);
  EXPECT_EQ(draw({.temperature = 1.0, .top_k = int64_t{1} << 40, .seed = 4}, logits, 200), all);
  EXPECT_EQ(draw({.temperature = 1.0, .top_p = 1.0, .min_p = 0.0, .seed = 4}, logits, 200), all);
}

TEST(Sampler, TakesInfiniteLogitsAtAnyTemperature) {
  for (const double temperature : {0.0, 1.0}) {
    EXPECT_EQ(draw({.temperature = temperature}, {0.0f, kInfinity, 1.0f, kInfinity}, 20), std::vector<int64_t>(20, 1));
  }
}

TEST(Sampler, RefusesLogitsThatLeaveNothing) {
  for (const double temperature : {0.0, 1.0}) {
    Sampler sampler({.temperature = temperature});
    const std::vector<float> none(40, -kInfinity), some = {1.0f, -kInfinity, 2.0f};
    EXPECT_THROW(sampler.sample(none, 0), Error);
    EXPECT_THROW(sampler.sample(some, 0, std::vector<uint32_t>{0}), Error);
    EXPECT_THROW(sampler.sample(some, 0, std::vector<uint32_t>{2}), Error) << "only an impossible one is allowed";
    EXPECT_THROW(sampler.sample(some, 0, std::vector<uint32_t>{1, 1}), Error) << "a word too many";
    EXPECT_THROW(sampler.sample({}, 0), Error);
    EXPECT_EQ(sampler.sample(some, 0, std::vector<uint32_t>{1}), 0);
  }
}

TEST(Sampler, RefusesABiasBeyondTheVocabulary) {
  Sampler sampler({.logit_bias = {{3, 1.0}}});
  EXPECT_THROW(sampler.sample(std::vector<float>(3, 0.0f), 0), Error);
  EXPECT_EQ(sampler.sample(std::vector<float>(4, 0.0f), 0), 3);
}

TEST(Logprobs, AreThoseOfTheSoftmax) {
  std::mt19937 random(31);
  for (int i = 0; i < 300; ++i) {
    const std::vector<float> logits = random_logits(random);
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
    std::vector<int64_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
    std::erase_if(order, [&](int64_t id) { return logits[id] == -kInfinity; });

    const int64_t token = order[random() % order.size()];
    const Logprobs found = logprobs(logits, token, 20);
    EXPECT_EQ(found.chosen.token, token);
    ASSERT_EQ(found.top.size(), std::min<size_t>(20, order.size()));
    for (size_t rank = 0; rank < found.top.size(); ++rank) {
      ASSERT_EQ(found.top[rank].token, order[rank]);
      ASSERT_NEAR(found.top[rank].logprob, static_cast<double>(logits[order[rank]]) - max - std::log(sum), 2e-6 + 1e-12 * std::abs(max));
    }
    ASSERT_NEAR(found.chosen.logprob, static_cast<double>(logits[token]) - max - std::log(sum), 2e-6 + 1e-12 * std::abs(max));
  }
}

TEST(Logprobs, RefuseWhatIsNoDistribution) {
  EXPECT_THROW(logprobs(std::vector<float>{0.0f, kNan}, 0, 1), Error);
  EXPECT_THROW(logprobs(std::vector<float>{-kInfinity}, 0, 1), Error);
  EXPECT_THROW(logprobs(std::vector<float>{0.0f}, 1, 1), Error);
  EXPECT_THROW(logprobs(std::vector<float>{0.0f}, 0, 21), Error);
  EXPECT_THROW(logprobs(std::vector<float>{0.0f}, 0, -1), Error);
}

}  // namespace
}  // namespace dsv4
