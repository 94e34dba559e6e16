// What the reference promises beside its numbers: independence of threads and of later tokens, cut models, traces, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "checkpoint/checkpoint.h"
#include "dsv4/error.h"
#include "reference/golden_data.h"
#include "reference/reference.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;

const Checkpoint& mini() {
  static const Checkpoint checkpoint = Checkpoint::open(dsv4_test::golden_checkpoint("mini"));
  return checkpoint;
}

std::vector<int64_t> mini_tokens(size_t n) {
  std::vector<int64_t> tokens = dsv4_test::golden_tokens("mini");
  tokens.resize(n);
  return tokens;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Reference, GivesTheSameBitsForEveryNumberOfThreads) {
  const std::vector<int64_t> tokens = mini_tokens(261);  // selection binds from 131, two blocks of 128, two blocks of queries
  ReferenceOptions options;
  options.simulate_cache_quantization = true;
  options.threads = 1;
  const std::vector<float> one = Reference(mini(), options).logits(tokens);
  for (const int threads : {2, 3, 7}) {
    options.threads = threads;
    EXPECT_TRUE(Reference(mini(), options).logits(tokens) == one) << threads << " threads";
  }
}

TEST(Reference, LaterTokensDoNotChangeEarlierLogits) {
  const std::vector<int64_t> tokens = mini_tokens(270);
  const Reference reference(mini());
  const std::vector<float> whole = reference.logits(tokens);
  for (const size_t n : {size_t{1}, size_t{4}, size_t{127}, size_t{128}, size_t{257}}) {
    const std::vector<float> part = reference.logits(std::span(tokens).first(n));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << n << " tokens";
  }
}

TEST(Reference, RunsTheFirstLayersOnly) {
  const std::vector<int64_t> tokens = mini_tokens(40);
  ReferenceTrace whole, cut;
  const std::vector<float> all = Reference(mini()).logits(tokens, &whole);
  ReferenceOptions options;
  options.layers = 3;
  const std::vector<float> three = Reference(mini(), options).logits(tokens, &cut);
  ASSERT_EQ(cut.streams.size(), 3u);
  for (size_t l = 0; l < 3; ++l) EXPECT_TRUE(cut.streams[l] == whole.streams[l]) << "layer " << l;
  EXPECT_EQ(three.size(), all.size());
  EXPECT_FALSE(three == all);
}

TEST(Reference, ATraceHoldsOneCallOnly) {
  ReferenceTrace trace;
  const Reference reference(mini());
  reference.logits(mini_tokens(9), &trace);
  reference.logits(mini_tokens(5), &trace);
  const Config& config = mini().config();
  ASSERT_EQ(static_cast<int64_t>(trace.streams.size()), config.num_hidden_layers);
  ASSERT_EQ(trace.expert_ids.size(), trace.streams.size());
  ASSERT_EQ(trace.index_selection.size(), trace.streams.size());
  EXPECT_EQ(static_cast<int64_t>(trace.streams[0].size()), 5 * config.hc_mult * config.hidden_size);
  EXPECT_EQ(static_cast<int64_t>(trace.expert_ids[0].size()), 5 * config.num_experts_per_tok);
  // Layer 2 is CSA of rate 4: the entry of tokens 0..3 is visible from token 3 on.
  EXPECT_EQ(trace.index_selection[2], (std::vector<std::vector<int32_t>>{{}, {}, {}, {0}, {0}}));
}

TEST(Reference, LastRowsAreThoseOfAllRows) {
  const auto tokens = dsv4_test::golden_tokens("hash");
  const Checkpoint checkpoint = Checkpoint::open(dsv4_test::golden_checkpoint("hash"));
  const std::vector<int64_t> some(tokens.begin(), tokens.begin() + 90);
  const Reference all(checkpoint), last(checkpoint, {.last_rows = 7});
  const ReferenceRows all_rows = all.rows(some), last_rows = last.rows(some);
  EXPECT_EQ(last.logits_of(last_rows, 83, 90), all.logits_of(all_rows, 83, 90));
  EXPECT_LE(last_rows.close.size(), all_rows.close.size());
}

TEST(Reference, RefusesAnEmptySequence) {
  EXPECT_THAT(error_of([] { Reference(mini()).logits({}); }), HasSubstr("no tokens"));
}

TEST(Reference, RefusesTokensOutsideTheVocabulary) {
  for (const int64_t bad : {int64_t{-1}, int64_t{1024}, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    const std::vector<int64_t> tokens = {0, 5, bad};
    EXPECT_THAT(error_of([&] { Reference(mini()).logits(tokens); }),
                testing::AllOf(HasSubstr("token 2 is id " + std::to_string(bad)), HasSubstr("0..1023")));
  }
}

TEST(Reference, RefusesImpossibleOptions) {
  ReferenceOptions options;
  for (const int64_t layers : {int64_t{-2}, int64_t{7}}) {
    options.layers = layers;
    EXPECT_THAT(error_of([&] { Reference(mini(), options); }), HasSubstr("0..6")) << layers;
  }
  options.layers = -1;
  options.threads = -1;
  EXPECT_THAT(error_of([&] { Reference(mini(), options); }), HasSubstr("-1 threads"));
}

}  // namespace
}  // namespace dsv4
