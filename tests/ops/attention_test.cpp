// The op Attention against the formulas in float64, for every kind of layer, cache type, instruction set and split of the sequence.
#include "ops/attention/attention.h"

#include <gtest/gtest.h>

#include "attention_case.h"
#include "support/instruction_sets.h"

namespace dsv4::ops::testing {

namespace {

AttentionCase sliding() {
  AttentionCase c;
  c.name = "sliding";
  c.attributes = {.layer = 0, .heads = 4, .head_dim = 24, .rope_dim = 8, .groups = 2, .window = 7};
  return c;
}

AttentionCase overlapping() {
  AttentionCase c;
  c.name = "overlapping";
  c.attributes = {.layer = 1,
                  .heads = 6,
                  .head_dim = 32,
                  .rope_dim = 8,
                  .groups = 3,
                  .window = 8,
                  .ratio = 4,
                  .overlap = true,
                  .index_heads = 5,
                  .index_head_dim = 16,
                  .index_topk = 3};
  return c;
}

AttentionCase heavy() {
  AttentionCase c;
  c.name = "heavy";
  c.attributes = {.layer = 2, .heads = 3, .head_dim = 20, .rope_dim = 6, .groups = 1, .window = 5, .ratio = 16};
  return c;
}

/// Sizes that fill no vector, a ratio that divides nothing, no rotation.
AttentionCase odd() {
  AttentionCase c = overlapping();
  c.name = "odd";
  c.attributes.heads = 5;
  c.attributes.head_dim = 19;
  c.attributes.rope_dim = 0;
  c.attributes.groups = 5;
  c.attributes.window = 3;
  c.attributes.ratio = 3;
  c.attributes.index_heads = 1;
  c.attributes.index_head_dim = 7;
  c.attributes.index_topk = 4;
  c.hidden = 17;
  c.q_rank = 9;
  return c;
}

/// Heads, dims and rows beyond one vector, one tile and one part; a window and a selection that are wider than a tile.
AttentionCase wide() {
  AttentionCase c = overlapping();
  c.name = "wide";
  c.attributes.heads = 40;
  c.attributes.head_dim = 80;
  c.attributes.rope_dim = 16;
  c.attributes.groups = 4;
  c.attributes.window = 70;
  c.attributes.ratio = 2;
  c.attributes.index_heads = 20;
  c.attributes.index_head_dim = 32;
  c.attributes.index_topk = 90;
  c.tokens = 300;
  return c;
}

std::vector<AttentionCase> every_kind() { return {sliding(), overlapping(), heavy(), odd(), wide()}; }

std::vector<float> inputs_of(const AttentionCase& c, uint32_t seed = 99) { return random_values(c.tokens * c.hidden, 0.0f, 1.0f, seed); }

}  // namespace

TEST(Attention, EqualsTheFormulasForEveryInstructionSet) {
  for (const AttentionCase& c : every_kind()) {
    SCOPED_TRACE(c.name);
    const CaseWeights weights = random_weights(c);
    const std::vector<float> x = inputs_of(c), expected = formulas(c, weights, x);
    Runner runner(c, weights);
    testing_support::for_each_instruction_set([&] {
      EXPECT_LT(difference(runner.run_all(new_cache(layout_of(c, c.tokens)), x, {c.tokens}), expected), 1e-5);
      EXPECT_LT(difference(runner.run_all(new_cache(layout_of(c, c.tokens)), x, by_one(c.tokens)), expected), 1e-5);
    });
  }
}

TEST(Attention, GivesTheSameInEverySplit) {
  for (AttentionCase c : every_kind()) {
    for (const CacheType type : {CacheType::kF32, CacheType::kBF16}) {
      for (const bool quantize : {false, true}) {
        c.type = type;
        c.attributes.quantize_cache = quantize;
        if (c.name == "odd") c.attributes.index_head_dim = 8;
        SCOPED_TRACE(c.name + (type == CacheType::kF32 ? " f32" : " bf16") + (quantize ? " quantized" : ""));
        const std::vector<float> x = inputs_of(c);
        Runner runner(c, random_weights(c));
        const CacheLayout layout = layout_of(c, c.tokens + 5);
        const std::vector<float> whole = runner.run_all(new_cache(layout), x, {c.tokens});
        EXPECT_LT(difference(runner.run_all(new_cache(layout), x, by_one(c.tokens)), whole), 1e-5);
        for (const int64_t most : {3, 9, 40}) {
          EXPECT_LT(difference(runner.run_all(new_cache(layout), x, random_calls(c.tokens, most, static_cast<uint32_t>(most))), whole),
                    1e-5);
        }
      }
    }
  }
}

}  // namespace dsv4::ops::testing
