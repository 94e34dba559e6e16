// What Attention gives a token has the same bits in every split of the sequence: numbers of heads, parts of rows, formats, threads, instruction sets.
#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include "attention_case.h"
#include "support/instruction_sets.h"

namespace dsv4::ops::testing {

namespace {

/// A layer that selects among overlapping entries, which calls complete.
AttentionCase selecting(int64_t heads) {
  AttentionCase c;
  c.name = "selecting, " + std::to_string(heads) + " heads";
  c.attributes = {.layer = 1,
                  .heads = heads,
                  .head_dim = 32,
                  .rope_dim = 8,
                  .groups = 1,
                  .window = 8,
                  .ratio = 4,
                  .overlap = true,
                  .index_heads = heads,
                  .index_head_dim = 16,
                  .index_topk = 5};
  return c;
}

/// A layer whose tokens see thousands of rows in the end, more than a part each; few numbers otherwise.
AttentionCase of_many_rows() {
  AttentionCase c;
  c.name = "many rows";
  c.attributes = {.layer = 0, .heads = 18, .head_dim = 20, .rope_dim = 4, .groups = 1, .window = 1900, .ratio = 8};
  c.tokens = 2000;
  return c;
}

/// The last `n` tokens of the sequence one by one, what was before them in one call.
std::vector<int64_t> last_by_one(int64_t tokens, int64_t n) {
  std::vector<int64_t> calls = by_one(n + 1);
  calls[0] = tokens - n;
  return calls;
}

void expect_the_same_in_every_split(const AttentionCase& c, Runner& runner) {
  const std::vector<float> x = random_values(c.tokens * c.hidden, 0.0f, 1.0f, 21);
  const CacheLayout layout = layout_of(c, c.tokens);
  const std::vector<float> alone = runner.run_all(new_cache(layout), x, by_one(c.tokens));
  for (const int64_t most : {2, 5, 8, 16, 33}) {
    EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, random_calls(c.tokens, most, static_cast<uint32_t>(most))), alone)) << most;
  }
  for (const int threads : {1, 2, 3}) {
    tbb::task_arena(threads).execute([&] {
      EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, {c.tokens}), alone)) << threads << " threads";
      EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, {17, c.tokens - 17}), alone)) << threads << " threads";
    });
  }
}

void expect_the_same_in_every_format(ActivationRounding mode) {
  AttentionCase c = selecting(4);
  c.attributes.mode = mode;
  c.hidden = c.q_rank = c.o_rank = 64;
  for (const testing_blocks::Kind kind : testing_blocks::kAllKinds) {
    SCOPED_TRACE(testing_blocks::name_of(kind));
    CaseWeights weights = random_weights(c);
    const WeightInputs inputs = packed_inputs(weights, c.attributes, kind);
    Runner runner(c, weights, inputs);
    expect_the_same_in_every_split(c, runner);
  }
}

}  // namespace

TEST(AttentionBits, AreTheSameInEverySplitForAnyNumberOfHeads) {
  for (const int64_t heads : {1, 2, 15, 16, 17, 32, 33, 64, 65}) {
    AttentionCase c = selecting(heads);
    SCOPED_TRACE(c.name);
    Runner runner(c, random_weights(c));
    testing_support::for_each_instruction_set([&] { expect_the_same_in_every_split(c, runner); });
  }
}

TEST(AttentionBits, AreTheSameInEveryFormatWithExactActivations) { expect_the_same_in_every_format(ActivationRounding::kF32); }

TEST(AttentionBits, AreTheSameInEveryFormatWithRoundedActivations) { expect_the_same_in_every_format(ActivationRounding::kInt8); }

TEST(AttentionBits, DoNotDependOnHowManyRowsOtherTokensSee) {
  const AttentionCase c = of_many_rows();
  Runner runner(c, random_weights(c));
  const std::vector<float> x = random_values(c.tokens * c.hidden, 0.0f, 1.0f, 22);
  const CacheLayout layout = layout_of(c, c.tokens);
  testing_support::for_each_instruction_set([&] {
    const std::vector<float> whole = runner.run_all(new_cache(layout), x, {c.tokens});
    EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, last_by_one(c.tokens, 30)), whole));
    for (const int64_t n : {3, 8, 16}) {
      std::vector<int64_t> calls = {c.tokens - 40};
      for (int64_t left = 40; left > 0; left -= calls.back()) calls.push_back(std::min(left, n));
      EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, calls), whole)) << n << " at once";
    }
    // Where the tokens' numbers of rows, and of parts, differ most.
    EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, {90, 12, 6, 84, 8, c.tokens - 200}), whole));
  });
}

}  // namespace dsv4::ops::testing
