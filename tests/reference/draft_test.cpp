// The reference's drafts against outputs of DeepSeek's own code: the NextN block on trained weights, DSpark's stages on random ones.
#include "reference/draft.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "dsv4/error.h"
#include "reference/golden_data.h"

namespace dsv4 {
namespace {

using dsv4_test::golden_checkpoint;
using dsv4_test::golden_tokens;
using dsv4_test::GoldenData;

using Tokens = std::vector<int64_t>;

constexpr double kTolerance = 1e-4;  // that the goldens suggest

double largest_difference(std::span<const float> actual, std::span<const float> expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double largest = 0.0;
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(actual[i]) - expected[i]));
  }
  return largest;
}

template <class T>
std::vector<T> row(const std::vector<T>& values, int64_t index, int64_t width) {
  return {values.begin() + index * width, values.begin() + (index + 1) * width};
}

/// A checkpoint with a draft, and the features of one sequence.
struct Model {
  explicit Model(const std::string& golden, ReferenceOptions options = {})
      : checkpoint(Checkpoint::open(golden_checkpoint(golden))), draft(checkpoint, options) {}

  int64_t width() const {
    const Config& c = checkpoint.config();
    return c.hidden_size * (c.dspark ? std::ssize(c.dspark->target_layers) : c.hc_mult);
  }

  /// After the first `count` tokens, the last of which is the anchor.
  DraftBlock drafts(const Tokens& tokens, const std::vector<float>& features, int64_t count, int64_t n) const {
    return draft.drafts(std::span(tokens).first(static_cast<size_t>(count)),
                        std::span(features).first(static_cast<size_t>((count - 1) * width())), n);
  }

  Checkpoint checkpoint;
  DraftReference draft;
};

TEST(NextN, GivesTheLogitsOfDeepSeeksCode) {
  const Model model("mini");
  const GoldenData golden{std::string("mini")};
  Tokens tokens = golden_tokens("mini");
  tokens.resize(201);
  const std::vector<float> logits = model.draft.logits(tokens, model.draft.features(tokens));
  const std::vector<float> port = golden.f32("mtp_logits_port"), reference = golden.f32("mtp_logits_reference");
  ASSERT_EQ(logits.size(), port.size());
  EXPECT_LT(largest_difference(logits, port), kTolerance);
  EXPECT_LT(largest_difference(std::span(logits).first(reference.size()), reference), kTolerance);
}

/// Every `step`-th anchor of the three texts that DeepSeek's code continued.
void expect_nextn_drafts(int64_t step) {
  constexpr int64_t kDrafts = 5;
  const Model model("mini");
  const GoldenData prompts{std::string("mini")};
  const GoldenData golden(dsv4_test::data_directory() / "goldens/mini/speculation.safetensors");
  for (const std::string text : {"p1", "p2", "p3"}) {
    Tokens tokens = prompts.i64("prompt_" + text);
    const auto prompt = std::ssize(tokens);
    const Tokens greedy = golden.i64("mtp_greedy96_" + text);
    tokens.insert(tokens.end(), greedy.begin(), greedy.end());
    const std::vector<float> features = model.draft.features(tokens);
    const std::vector<int32_t> expected = golden.i32("mtp_drafts_" + text);
    for (int64_t i = 0; i < std::ssize(greedy); i += step) {
      const DraftBlock block = model.drafts(tokens, features, prompt + i + 1, kDrafts);
      EXPECT_EQ(block.tokens, Tokens(expected.begin() + i * kDrafts, expected.begin() + (i + 1) * kDrafts)) << text << ", anchor " << i;
    }
  }
}

TEST(NextN, DraftsWhatDeepSeeksCodeDrafts) { expect_nextn_drafts(19); }
TEST(NextN, Full_DraftsWhatDeepSeeksCodeDraftsAfterEveryToken) { expect_nextn_drafts(1); }

TEST(NextN, DraftsTheArgMaxOfItsLogits) {
  const Model model("mini");
  Tokens tokens = golden_tokens("mini");
  tokens.resize(100);
  const std::vector<float> features = model.draft.features(tokens);
  const std::vector<float> logits = model.draft.logits(tokens, features);
  const int64_t vocab = model.checkpoint.config().vocab_size;
  for (const int64_t count : {2, 50, 66, 100}) {  // also beyond the window of 64
    const DraftBlock block = model.drafts(tokens, features, count, 1);
    EXPECT_EQ(block.logits, row(logits, count - 2, vocab)) << count;
  }
}

class DsparkGolden : public testing::Test {
 protected:
  const GoldenData golden_{std::string("dspark")};
  const Tokens tokens_ = golden_tokens("dspark");
};

TEST_F(DsparkGolden, FeaturesAreTheMeansOfTheStreams) {
  const Model model("dspark");
  const std::vector<float> features = model.draft.features(tokens_), expected = golden_.f32("main_hidden_reference");
  const std::vector<int32_t> positions = golden_.i32("main_hidden_positions");
  for (size_t i = 0; i < positions.size(); ++i) {
    EXPECT_LT(largest_difference(row(features, positions[i], model.width()), row(expected, static_cast<int64_t>(i), model.width())),
              kTolerance);
  }
  EXPECT_LT(largest_difference(Reference(model.checkpoint).logits(tokens_), golden_.f32("logits_reference")), kTolerance);
}

TEST_F(DsparkGolden, BlocksGiveTheLogitsAndConfidencesOfDeepSeeksCode) {
  const Model model("dspark");
  const int64_t vocab = model.checkpoint.config().vocab_size, n = model.checkpoint.config().dspark->block_size;
  const std::vector<float> features = model.draft.features(tokens_);
  const std::vector<float> base = golden_.f32("draft_base_logits_reference"), logits = golden_.f32("draft_logits_reference"),
                           confidences = golden_.f32("confidence_reference");
  const std::vector<int32_t> positions = golden_.i32("draft_positions"), drafts = golden_.i32("draft_tokens_reference");
  for (size_t i = 0; i < positions.size(); ++i) {
    const int64_t p = positions[i], at = static_cast<int64_t>(i);
    const DraftBlock block = model.drafts(tokens_, features, p + 2, n);
    EXPECT_LT(largest_difference(block.base_logits, row(base, at, n * vocab)), kTolerance) << p;
    EXPECT_LT(largest_difference(block.logits, row(logits, at, n * vocab)), kTolerance) << p;
    EXPECT_LT(largest_difference(block.confidences, row(confidences, p, n)), kTolerance) << p;
    EXPECT_EQ(block.tokens, Tokens(drafts.begin() + p * n, drafts.begin() + (p + 1) * n)) << p;
  }
}

TEST_F(DsparkGolden, DraftsAlsoAfterTheFirstPositions) {
  const Model model("dspark");
  const int64_t n = model.checkpoint.config().dspark->block_size;
  const std::vector<float> features = model.draft.features(tokens_);
  const std::vector<int32_t> drafts = golden_.i32("draft_tokens_reference");
  for (const int64_t p : {0, 1, 2, 5, 19, 30, 31, 32, 33}) {  // about the window of 32 too
    EXPECT_EQ(model.drafts(tokens_, features, p + 2, n).tokens, Tokens(drafts.begin() + p * n, drafts.begin() + (p + 1) * n)) << p;
  }
}

TEST_F(DsparkGolden, RoundsItsCacheAsTheModelDoes) {
  const Model model("dspark", {.simulate_cache_quantization = true});
  const int64_t n = model.checkpoint.config().dspark->block_size;
  const std::vector<float> features = model.draft.features(tokens_);
  const std::vector<int32_t> drafts = golden_.i32("draft_tokens_reference_cachequant"), exact = golden_.i32("draft_tokens_reference");
  int64_t equal = 0, all = 0;
  for (int64_t p = 20; p <= 258; p += 7) {
    const Tokens actual = model.drafts(tokens_, features, p + 2, n).tokens;
    for (int64_t j = 0; j < n; ++j) equal += actual[static_cast<size_t>(j)] == drafts[static_cast<size_t>((p - 20) * n + j)];
    all += n;
  }
  EXPECT_GE(equal, all * 19 / 20);  // a value that rounding moves over a boundary of the coarse grids may change a near tie
}

TEST_F(DsparkGolden, RefusesABlockOfAnotherSize) {
  const Model model("dspark");
  const std::vector<float> features(static_cast<size_t>(3 * model.width()));
  for (const int64_t n : {0, 1, 4, 6}) EXPECT_THROW(model.drafts(tokens_, features, 4, n), Error) << n;
  EXPECT_THROW(model.draft.logits(tokens_, features), Error);
}

TEST(DraftReference, RefusesWhatDoesNotFit) {
  const Model model("mini");
  const std::vector<float> features(static_cast<size_t>(2 * model.width()));
  const auto refuses = [&](const Tokens& tokens, std::span<const float> given, int64_t n) {
    EXPECT_THROW(model.draft.drafts(tokens, given, n), Error) << tokens.size() << ' ' << given.size() << ' ' << n;
  };
  refuses({1, 2}, features, 1);        // an anchor is missing
  refuses({1, 2, 1024}, features, 1);  // beyond the vocabulary
  refuses({1, 2, -1}, features, 1);
  refuses({1, 2, 3}, std::span(features).first(features.size() - 1), 1);
  refuses({1}, {}, 1);  // before the first position there is nothing to draft from
  refuses({1, 2, 3}, features, 0);
}

TEST(DraftReference, RefusesACheckpointWithoutADraft) {
  const Checkpoint toy = Checkpoint::open(golden_checkpoint("toy"));
  EXPECT_THROW(DraftReference{toy}, Error);
}

}  // namespace
}  // namespace dsv4
