// Sampling: greedy choice, the nucleus, and the frequencies of sampled tokens against the probabilities that they should have.
#include "dsv4/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<int64_t> draw(const SamplerOptions& options, const std::vector<float>& logits, int count) {
  Sampler sampler(options);
  std::vector<int64_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(sampler.sample(logits));
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
    EXPECT_THROW(sampler.sample(std::vector<float>{0.0f, kNan}), Error);
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

TEST(Sampler, FollowsSplitmix64) {
  // Vigna's published outputs for the seed 1234567. Of 1024 equally likely tokens the top ten bits choose one.
  const std::vector<uint64_t> outputs = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
                                         16408922859458223821u};
  std::vector<int64_t> expected;
  for (const uint64_t output : outputs) expected.push_back(static_cast<int64_t>(output >> 54));
  EXPECT_EQ(draw({.temperature = 1.0, .top_p = 1.0, .seed = 1234567}, std::vector<float>(1024, 0.25f), 5), expected);
}

}  // namespace
}  // namespace dsv4
