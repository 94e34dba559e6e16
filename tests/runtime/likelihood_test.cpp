// Likelihood against its definition on the logits of a session, in windows and as one sequence.
#include "runtime/likelihood.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;

TEST(NegativeLogProbability, IsThatOfTheSoftmax) {
  EXPECT_NEAR(negative_log_probability(std::vector<float>(8, 3.0f), 5), std::log(8.0), 1e-15);
  const std::vector<float> logits = {0.0f, std::log(2.0f), std::log(5.0f)};  // probabilities 1/8, 2/8, 5/8
  EXPECT_NEAR(negative_log_probability(logits, 0), std::log(8.0), 1e-7);
  EXPECT_NEAR(negative_log_probability(logits, 1), std::log(4.0), 1e-7);
  EXPECT_NEAR(negative_log_probability(logits, 2), std::log(1.6), 1e-7);
}

TEST(NegativeLogProbability, NeitherOverflowsNorVanishes) {
  EXPECT_DOUBLE_EQ(negative_log_probability(std::vector<float>{1000.0f, 0.0f}, 1), 1000.0);
  EXPECT_DOUBLE_EQ(negative_log_probability(std::vector<float>{-3e38f, -3e38f}, 0), std::log(2.0));
  EXPECT_NEAR(negative_log_probability(std::vector<float>{40.0f, 0.0f}, 0), std::exp(-40.0), 1e-15);
}

class LikelihoodOfToy : public testing::Test {
 protected:
  LikelihoodOfToy() : engine_(convert_golden("toy", directory_.path()), every_position()), tokens_(dsv4_test::golden_tokens("toy")) {}

  /// Σ -log softmax(logits)[next] over one pass, by definition, from logits of transformers.
  double expected(size_t predicted) const {
    const std::vector<float> logits = toy_golden().f32("logits_transformers");
    const size_t vocab = 512;
    double total = 0.0;
    for (size_t t = 0; t < predicted; ++t) {
      double sum = 0.0;
      for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(logits[t * vocab + v]));
      total -= std::log(std::exp(static_cast<double>(logits[t * vocab + static_cast<size_t>(tokens_[t + 1])])) / sum);
    }
    return total;
  }

  TemporaryDirectory directory_;
  Engine engine_;
  std::vector<int64_t> tokens_;
};

TEST_F(LikelihoodOfToy, OfOneSequenceIsTheGoldens) {
  const Likelihood all = likelihood(engine_, tokens_);
  EXPECT_EQ(all.predicted, 299);
  EXPECT_EQ(all.windows, 1);
  const double want = expected(299);
  EXPECT_NEAR(all.negative_log, want, 1e-5 * want);
  EXPECT_DOUBLE_EQ(all.per_token(), all.negative_log / 299);
  EXPECT_DOUBLE_EQ(all.perplexity(), std::exp(all.negative_log / 299));
}

TEST_F(LikelihoodOfToy, DoesNotDependOnTheChunk) {
  const double whole = likelihood(engine_, tokens_, {.chunk = 1000}).negative_log;
  for (const int64_t chunk : {1, 7, 128, 299}) {
    const auto tokens = std::span(tokens_).first(chunk == 1 ? 80 : 300);
    const double want = chunk == 1 ? expected(79) : whole;
    EXPECT_NEAR(likelihood(engine_, tokens, {.chunk = chunk}).negative_log, want, 1e-5 * want) << chunk;
  }
}

TEST_F(LikelihoodOfToy, WindowsStartAnewAndLeaveNoTokenOut) {
  const Likelihood windows = likelihood(engine_, tokens_, {.context = 70, .chunk = 32});
  EXPECT_EQ(windows.predicted, 299);
  EXPECT_EQ(windows.windows, 5);  // 4 x 70 and 19
  double sum = 0.0;
  for (size_t begin = 0; begin < 299; begin += 70) {
    const auto window = std::span(tokens_).subspan(begin, std::min<size_t>(71, 300 - begin));  // fed: all but the last
    sum += likelihood(engine_, window).negative_log;
  }
  EXPECT_NEAR(windows.negative_log, sum, 1e-5 * sum);
  EXPECT_GT(std::fabs(windows.negative_log - expected(299)), 1.0) << "the windows see what lies before them";
}

TEST_F(LikelihoodOfToy, OfTheFirstWindowIsThatOfOneSequence) {
  const Likelihood one = likelihood(engine_, std::span(tokens_).first(101), {.context = 100});
  EXPECT_EQ(one.windows, 1);
  EXPECT_EQ(one.predicted, 100);
  EXPECT_NEAR(one.negative_log, expected(100), 1e-5 * expected(100));
}

TEST_F(LikelihoodOfToy, ThePrefillOnlyFormGivesTheSame) {
  const Engine prefill(convert_golden("toy", directory_.path(), false), every_position());
  const LikelihoodOptions options{.context = 90};
  const double stateful = likelihood(engine_, tokens_, options).negative_log;
  EXPECT_NEAR(likelihood(prefill, tokens_, options).negative_log, stateful, 1e-5 * stateful);
}

TEST_F(LikelihoodOfToy, RefusesWhatItCannotCount) {
  const auto error = [&](const std::vector<int64_t>& tokens, const LikelihoodOptions& options = {}) {
    return error_of([&] { likelihood(engine_, tokens, options); });
  };
  EXPECT_THAT(error({}), HasSubstr("at least two"));
  EXPECT_THAT(error({3}), HasSubstr("at least two"));
  EXPECT_THAT(error({3, 512}), HasSubstr("512"));
  EXPECT_THAT(error({3, -1}), HasSubstr("-1"));
  EXPECT_THAT(error({3, 4}, {.context = -1}), HasSubstr("context -1"));
  EXPECT_THAT(error({3, 4}, {.chunk = 0}), HasSubstr("chunk 0"));
  EXPECT_THAT(error(std::vector<int64_t>(5000, 3)), AllOf(HasSubstr("4096")));
  EXPECT_EQ(error(std::vector<int64_t>(10, 3), {.context = 9}), "");
  const Engine last(directory_.path() / "toy", last_position());
  EXPECT_THAT(error_of([&] { likelihood(last, tokens_); }), HasSubstr("all_logits"));
}

}  // namespace
}  // namespace dsv4
