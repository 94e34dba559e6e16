// The difference of two sets of logits, on cases small enough to compute by hand.
#include "reference/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using Logits = std::vector<float>;

TEST(CompareLogits, IsZeroForEqualOnes) {
  const Logits logits = {1.0f, -7.5f, 3.0f, 0.0f, 0.5f, 2.0f};
  const LogitDifference d = compare_logits(logits, logits, 3);
  EXPECT_EQ(d.max_logit, 7.5);
  EXPECT_EQ(d.max, 0.0);
  EXPECT_EQ(d.mean, 0.0);
  EXPECT_EQ(d.kl, 0.0);
  EXPECT_EQ(d.greedy_match, 2);
}

TEST(CompareLogits, HasTheMaximumAndMeanOfAbsoluteDifferences) {
  const Logits expected = {1.0f, 2.0f, 3.0f, 4.0f}, actual = {1.5f, 2.0f, 1.0f, 4.25f};
  const LogitDifference d = compare_logits(expected, actual, 2);
  EXPECT_EQ(d.max_logit, 4.0);
  EXPECT_EQ(d.max, 2.0);
  EXPECT_EQ(d.mean, (0.5 + 0.0 + 2.0 + 0.25) / 4.0);
  EXPECT_EQ(d.greedy_match, 2);
}

TEST(CompareLogits, HasTheDivergenceOfTheExpectedDistribution) {
  // Position 0: (1/2, 1/2) against (1/4, 3/4). Position 1: (3/4, 1/4) against (1/2, 1/2). Any constant may be added to logits.
  const float log3 = std::log(3.0f);
  const Logits expected = {5.0f, 5.0f, log3, 0.0f}, actual = {-2.0f, -2.0f + log3, 1.0f, 1.0f};
  const double first = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0), second = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(compare_logits(expected, actual, 2).kl, (first + second) / 2.0, 1e-7);
  EXPECT_NEAR(compare_logits({expected.begin(), expected.begin() + 2}, {actual.begin(), actual.begin() + 2}, 2).kl, first, 1e-7);
}

TEST(CompareLogits, DoesNotOverflowOnLargeLogits) {
  const Logits expected = {1000.0f, 0.0f}, actual = {1000.0f, 1000.0f};
  EXPECT_NEAR(compare_logits(expected, actual, 2).kl, std::log(2.0), 1e-12);
}

TEST(CompareLogits, CountsPositionsWithTheSameArgMax) {
  const Logits expected = {1.0f, 2.0f, 0.0f, 9.0f, 3.0f, 4.0f, 0.0f, 0.0f, 5.0f};
  const Logits actual = {2.0f, 1.0f, 0.0f, 9.0f, 8.0f, 7.0f, 0.1f, 0.0f, 0.2f};
  EXPECT_EQ(compare_logits(expected, actual, 3).greedy_match, 2);
}

TEST(CompareLogits, MakesNaNAnInfiniteDifference) {
  for (size_t place = 0; place < 2; ++place) {
    Logits actual = {1.0f, 2.0f};
    actual[place] = std::numeric_limits<float>::quiet_NaN();
    const LogitDifference d = compare_logits(Logits{1.0f, 2.0f}, actual, 2);
    EXPECT_EQ(d.max, std::numeric_limits<double>::infinity());
    EXPECT_EQ(d.mean, std::numeric_limits<double>::infinity());
  }
}

TEST(CompareLogits, RefusesSizesThatDoNotFit) {
  const Logits two(2), three(3), four(4);
  EXPECT_THROW(compare_logits(two, four, 2), Error);
  EXPECT_THROW(compare_logits(three, three, 2), Error);
  EXPECT_THROW(compare_logits({}, {}, 2), Error);
}

}  // namespace
}  // namespace dsv4
