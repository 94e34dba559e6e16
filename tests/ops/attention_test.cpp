// The op Attention against the formulas in float64, for every kind of layer, cache type, instruction set and split of the sequence.
#include "ops/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "attention_case.h"
#include "block_support.h"
#include "openvino/core/graph_util.hpp"
#include "openvino/core/model.hpp"
#include "openvino/core/op_extension.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/runtime/core.hpp"
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

/// Largest difference of each token, relative to the largest magnitude of all.
std::vector<double> token_errors(const std::vector<float>& a, const std::vector<float>& b, int64_t width) {
  float largest = 0.0f;
  for (const float value : b) largest = std::max(largest, std::abs(value));
  std::vector<double> errors;
  for (size_t i = 0; i < b.size(); ++i) {
    if (i % static_cast<size_t>(width) == 0) errors.push_back(0.0);
    const double error = std::abs(static_cast<double>(a.at(i)) - b[i]) / largest;
    if (!(error <= errors.back())) errors.back() = std::isnan(error) ? HUGE_VAL : error;
  }
  return errors;
}

TEST(TokenErrors, AreOfEveryTokenWhateverTheSigns) {
  const std::vector<float> expected = {-1.0f, -2.0f, -4.0f, -0.5f, -1.0f, -1.0f};
  std::vector<float> found = expected;
  EXPECT_EQ(token_errors(found, expected, 2), (std::vector<double>{0.0, 0.0, 0.0}));
  found[1] = -1.0f;
  found[4] = NAN;
  EXPECT_EQ(token_errors(found, expected, 2), (std::vector<double>{0.25, 0.0, HUGE_VAL}));
}

/// Inputs x and runs; frequencies are a constant.
std::shared_ptr<ov::Model> model_of(const AttentionCase& c, const CaseWeights& weights) {
  const auto inputs = parameters(c);
  ov::ParameterVector parameters;
  const std::vector<std::string> names = {"x", "runs"};
  for (size_t i = 0; i < names.size(); ++i) {
    inputs[i].get_node()->output(0).set_names({names[i]});
    parameters.push_back(ov::as_type_ptr<ov::op::v0::Parameter>(inputs[i].get_node_shared_ptr()));
  }
  const auto frequencies = ov::op::v0::Constant::create(ov::element::f32, {weights.frequencies.size()}, weights.frequencies);
  const auto op = std::make_shared<Attention>(inputs[0], inputs[1], frequencies, weight_inputs(weights, c.attributes), c.attributes);
  return std::make_shared<ov::Model>(ov::OutputVector{op}, parameters);
}

/// All attributes as text.
class AttributeText : public ov::AttributeVisitor {
 public:
  using ov::AttributeVisitor::on_adapter;
  void on_adapter(const std::string& name, ov::ValueAccessor<void>&) override { text += name + "?;"; }
  void on_adapter(const std::string& name, ov::ValueAccessor<bool>& a) override { add(name, a.get()); }
  void on_adapter(const std::string& name, ov::ValueAccessor<int64_t>& a) override { add(name, a.get()); }
  void on_adapter(const std::string& name, ov::ValueAccessor<double>& a) override { add(name, a.get()); }
  void on_adapter(const std::string& name, ov::ValueAccessor<std::vector<int64_t>>& a) override {
    for (const int64_t v : a.get()) add(name, v);
  }
  std::string text;

 private:
  template <class T>
  void add(const std::string& name, T value) {
    text += name + "=" + std::to_string(value) + ";";
  }
};

std::string attributes_of(ov::Node& node) {
  AttributeText visitor;
  node.visit_attributes(visitor);
  return visitor.text;
}

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
    for (const CachePrecision type : {CachePrecision::kF32, CachePrecision::kBF16}) {
      for (const bool quantize : {false, true}) {
        c.type = type;
        c.attributes.quantize_cache = quantize;
        if (c.name == "odd") c.attributes.index_head_dim = 8;
        SCOPED_TRACE(c.name + (type == CachePrecision::kF32 ? " f32" : " bf16") + (quantize ? " quantized" : ""));
        const std::vector<float> x = inputs_of(c);
        Runner runner(c, random_weights(c));
        const CacheLayout layout = layout_of(c, c.tokens + 5);
        const std::vector<float> whole = runner.run_all(new_cache(layout), x, {c.tokens});
        EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, by_one(c.tokens)), whole));
        for (const int64_t most : {3, 9, 40}) {
          EXPECT_TRUE(same_bits(runner.run_all(new_cache(layout), x, random_calls(c.tokens, most, static_cast<uint32_t>(most))), whole));
        }
      }
    }
  }
}

TEST(Attention, EqualsTheFormulasWithRoundedCaches) {
  for (AttentionCase c : every_kind()) {
    for (const bool quantize : {false, true}) {
      c.type = CachePrecision::kBF16;
      c.attributes.quantize_cache = quantize;
      if (c.name == "odd") c.attributes.index_head_dim = 8;  // Hadamard needs a power of two
      SCOPED_TRACE(c.name + (quantize ? " quantized" : ""));
      const CaseWeights weights = random_weights(c);
      const std::vector<float> x = inputs_of(c), expected = formulas(c, weights, x);
      Runner runner(c, weights);
      // A value between two that can be kept may go to either side in float32 and float64: some results are a fraction of that step off.
      std::vector<double> errors = token_errors(runner.run_all(new_cache(layout_of(c, c.tokens)), x, {c.tokens}), expected, c.hidden);
      std::sort(errors.begin(), errors.end());
      EXPECT_LT(errors[errors.size() / 2], 1e-4);
      EXPECT_LT(errors.back(), quantize ? 5e-2 : 5e-3);
      // And the rounding has been done: without it everything is off by more.
      AttentionCase exact = c;
      exact.type = CachePrecision::kF32;
      exact.attributes.quantize_cache = false;
      std::vector<double> unrounded = token_errors(formulas(exact, weights, x), expected, c.hidden);
      std::sort(unrounded.begin(), unrounded.end());
      EXPECT_GT(unrounded[unrounded.size() / 2], 5 * errors[errors.size() / 2]);
    }
  }
}

TEST(Attention, SelectsAmongThousandsOfEntries) {
  // More entries than a piece of work scores, more tokens than are scored or queried at once.
  AttentionCase c = overlapping();
  c.attributes.heads = c.attributes.groups = 1;
  c.attributes.head_dim = 8;
  c.attributes.rope_dim = 4;
  c.attributes.window = 4;
  c.attributes.ratio = 1;
  c.attributes.index_heads = 2;
  c.attributes.index_head_dim = 4;
  c.attributes.index_topk = 5;
  c.hidden = 6;
  c.tokens = 2300;
  const CaseWeights weights = random_weights(c);
  const std::vector<float> x = inputs_of(c), expected = formulas(c, weights, x);
  Runner runner(c, weights);
  for (const std::vector<int64_t>& calls : {std::vector<int64_t>{c.tokens}, {2100, 7, 1, 192}}) {
    std::vector<double> errors = token_errors(runner.run_all(new_cache(layout_of(c, c.tokens)), x, calls), expected, c.hidden);
    // Two entries whose scores are nearly equal may change places between float32 and float64.
    EXPECT_LE(std::count_if(errors.begin(), errors.end(), [](double e) { return e > 1e-5; }), 5);
  }
}

TEST(Attention, TakesWeightsOfEveryFormat) {
  using testing_blocks::Kind;
  AttentionCase c = overlapping();
  c.hidden = c.q_rank = c.o_rank = 32;
  c.attributes.index_topk = 100;  // everything: rounded activations would change the selection
  c.tokens = 30;
  const std::vector<float> x = inputs_of(c);
  for (const Kind kind : testing_blocks::kAllKinds) {
    SCOPED_TRACE(testing_blocks::name_of(kind));
    CaseWeights weights = random_weights(c);
    const WeightInputs inputs = packed_inputs(weights, c.attributes, kind);
    const std::vector<float> expected = formulas(c, weights, x);
    const CacheLayout layout = layout_of(c, c.tokens);
    EXPECT_LT(difference(Runner(c, weights, inputs).run_all(new_cache(layout), x, {11, 1, 18}), expected), 1e-5);
    AttentionCase rounded = c;
    rounded.attributes.mode = ActivationRounding::kInt8;
    const double error = difference(Runner(rounded, weights, inputs).run_all(new_cache(layout), x, {11, 1, 18}), expected);
    EXPECT_LT(error, 3e-2);
    EXPECT_EQ(error > 1e-4, testing_blocks::rounds_activations(kind));
  }
}

TEST(Attention, KeepsSequencesApart) {
  const AttentionCase c = overlapping();
  Runner runner(c, random_weights(c));
  const CacheLayout layout = layout_of(c, c.tokens);
  const std::vector<float> a = inputs_of(c, 5), b = inputs_of(c, 6);
  const std::vector<float> alone_a = runner.run_all(new_cache(layout), a, by_one(c.tokens));
  const std::vector<float> alone_b = runner.run_all(new_cache(layout), b, by_one(c.tokens));
  const ov::Tensor cache_a = new_cache(layout), cache_b = new_cache(layout);
  std::vector<float> together_a, together_b;
  for (int64_t t = 0; t < c.tokens; ++t) {
    const std::vector<float> token_a = runner.run(cache_a, a.data() + t * c.hidden, 1, t);
    const std::vector<float> token_b = runner.run(cache_b, b.data() + t * c.hidden, 1, t);
    together_a.insert(together_a.end(), token_a.begin(), token_a.end());
    together_b.insert(together_b.end(), token_b.begin(), token_b.end());
  }
  EXPECT_EQ(together_a, alone_a);
  EXPECT_EQ(together_b, alone_b);
}

TEST(Attention, BeginsAnewAtPositionZero) {
  for (const AttentionCase& c : every_kind()) {
    SCOPED_TRACE(c.name);
    Runner runner(c, random_weights(c));
    const CacheLayout layout = layout_of(c, c.tokens);
    const std::vector<float> x = inputs_of(c, 5), other = inputs_of(c, 6);
    const ov::Tensor cache = new_cache(layout);
    runner.run_all(cache, other, {c.tokens});
    EXPECT_EQ(runner.run_all(cache, x, {c.tokens}), runner.run_all(new_cache(layout), x, {c.tokens}));
  }
}

TEST(Attention, ContinuesFromCopiedRanges) {
  for (AttentionCase c : every_kind()) {
    for (const CachePrecision type : {CachePrecision::kF32, CachePrecision::kBF16}) {
      c.type = type;
      SCOPED_TRACE(c.name);
      Runner runner(c, random_weights(c));
      const CacheLayout layout = layout_of(c, c.tokens);
      const std::vector<float> x = inputs_of(c);
      const std::vector<float> whole = runner.run_all(new_cache(layout), x, {c.tokens});
      const ov::Tensor cache = new_cache(layout);
      for (int64_t t = 0; t < std::min<int64_t>(c.tokens, 45); ++t) {
        if (c.tokens > 100 && t % 8 != 3) {
          runner.run(cache, x.data() + t * c.hidden, 1, t);
          continue;
        }
        ov::Tensor copy = new_cache(layout);
        for (const auto& range : layout.used(t)) {
          std::memcpy(static_cast<std::byte*>(copy.data()) + range.begin, static_cast<const std::byte*>(cache.data()) + range.begin,
                      static_cast<size_t>(range.end - range.begin));
        }
        const float* rest = x.data() + t * c.hidden;
        const std::vector<float> from_copy = runner.run(copy, rest, c.tokens - t, t);
        SCOPED_TRACE(t);
        EXPECT_TRUE(same_bits(from_copy, {whole.begin() + t * c.hidden, whole.end()}));
        runner.run(cache, rest, 1, t);
      }
    }
  }
}

TEST(Attention, WritesTheCallersMemoryThroughThePlugin) {
  const AttentionCase c = overlapping();
  const CaseWeights weights = random_weights(c);
  const std::vector<float> x = inputs_of(c), expected = formulas(c, weights, x);
  const CacheLayout layout = layout_of(c, c.tokens);
  ov::InferRequest request = ov::Core().compile_model(model_of(c, weights), "CPU").create_infer_request();
  const ov::Tensor cache = new_cache(layout);
  const std::vector<uint8_t> before(cache.data<uint8_t>(), cache.data<uint8_t>() + cache.get_byte_size());
  std::vector<float> out;
  const CacheSlot slot = slot_of(cache);
  int64_t position = 0;
  for (const int64_t n : random_calls(c.tokens, 6, 3)) {
    ov::Tensor input(ov::element::f32, {static_cast<size_t>(n), static_cast<size_t>(c.hidden)});
    std::memcpy(input.data(), x.data() + position * c.hidden, input.get_byte_size());
    request.set_tensor("x", input);
    request.set_tensor("runs", runs_tensor({{0, static_cast<int32_t>(n), static_cast<int32_t>(position), slot.id()}}));
    request.infer();
    const ov::Tensor result = request.get_output_tensor();
    out.insert(out.end(), result.data<float>(), result.data<float>() + result.get_size());
    position += n;
  }
  EXPECT_LT(difference(out, expected), 1e-5);
  EXPECT_NE(std::memcmp(before.data(), cache.data(), before.size()), 0);
}

TEST(Attention, SurvivesSavingWithItsAttributes) {
  AttentionCase c = overlapping();
  c.attributes.mode = ActivationRounding::kInt8;
  c.attributes.quantize_cache = true;
  c.attributes.norm_eps = 3e-5;
  const CaseWeights weights = random_weights(c);
  const auto folder = std::filesystem::path(::testing::TempDir()) / "dsv4_attention_saved";
  std::filesystem::create_directories(folder);
  ov::serialize(model_of(c, weights), (folder / "model.xml").string());
  ov::Core core;
  core.add_extension(std::make_shared<ov::OpExtension<Attention>>());
  const auto read = core.read_model((folder / "model.xml").string());
  std::filesystem::remove_all(folder);
  const auto ops = read->get_ordered_ops();
  const auto op = std::find_if(ops.begin(), ops.end(), [](const auto& node) { return ov::is_type<Attention>(node); });
  ASSERT_NE(op, ops.end());
  Runner original(c, weights);
  EXPECT_EQ(attributes_of(**op), attributes_of(*original.op()));
}

TEST(Attention, RefusesCallsBeyondTheCapacity) {
  const AttentionCase c = heavy();
  Runner runner(c, random_weights(c));
  const ov::Tensor cache = new_cache(layout_of(c, 10));
  const std::vector<float> x = inputs_of(c);
  EXPECT_EQ(runner.run(cache, x.data(), 10, 0).size(), static_cast<size_t>(10 * c.hidden));
  EXPECT_THROW(runner.run(cache, x.data(), 11, 0), ov::Exception);
  EXPECT_THROW(runner.run(cache, x.data(), 1, 10), ov::Exception);
  EXPECT_THROW(runner.run(cache, x.data(), 1, -1), ov::Exception);
  EXPECT_TRUE(runner.run(std::vector<std::array<int32_t, 4>>{}, x.data(), 0).empty());
}

TEST(Attention, RefusesWeightsAndAttributesThatDoNotFit) {
  const AttentionCase good = overlapping();
  const CaseWeights weights = random_weights(good);
  const auto make = [&](const AttentionCase& c, const WeightInputs& inputs) {
    const auto nodes = parameters(c);
    return std::make_shared<Attention>(nodes[0], nodes[1], nodes[2], inputs, c.attributes);
  };
  const WeightInputs inputs = weight_inputs(weights, good.attributes);
  EXPECT_NO_THROW(make(good, inputs));
  const auto refuse = [&](const char* what, const std::function<void(AttentionAttributes&)>& change) {
    AttentionCase bad = good;
    change(bad.attributes);
    EXPECT_THROW(make(bad, inputs), ov::NodeValidationFailure) << what;
  };
  refuse("heads", [](AttentionAttributes& a) { a.heads = 12; });
  refuse("no heads", [](AttentionAttributes& a) { a.heads = 0; });
  refuse("head_dim", [](AttentionAttributes& a) { a.head_dim = 16; });
  refuse("huge head_dim", [](AttentionAttributes& a) { a.head_dim = int64_t{1} << 62; });
  refuse("odd rope_dim", [](AttentionAttributes& a) { a.rope_dim = 7; });
  refuse("rope_dim beyond the index heads", [](AttentionAttributes& a) { a.rope_dim = 18; });
  refuse("groups", [](AttentionAttributes& a) { a.groups = 2; });
  refuse("groups that divide no heads", [](AttentionAttributes& a) { a.groups = 4; });
  refuse("window", [](AttentionAttributes& a) { a.window = 0; });
  refuse("ratio", [](AttentionAttributes& a) { a.ratio = 3; });
  refuse("overlap without a ratio", [](AttentionAttributes& a) { a.ratio = 0; });
  refuse("overlap", [](AttentionAttributes& a) { a.overlap = false; });
  refuse("index_heads", [](AttentionAttributes& a) { a.index_heads = 6; });
  refuse("index_head_dim", [](AttentionAttributes& a) { a.index_head_dim = 8; });
  refuse("index_topk", [](AttentionAttributes& a) { a.index_topk = 0; });
  refuse("layer", [](AttentionAttributes& a) { a.layer = -1; });
  // Each weight in turn of another shape, and exact ones of another type.
  const std::vector<const Values*> values = in_order(weights, good.attributes);
  for (size_t i = 0; i < values.size(); ++i) {
    WeightInputs changed;
    for (size_t j = 0; j < values.size(); ++j) {
      const auto rows = static_cast<size_t>(values[j]->rows + (i == j ? 1 : 0)), cols = static_cast<size_t>(values[j]->cols);
      changed.add({ov::op::v0::Constant::create(ov::element::f32, {rows, cols}, std::vector<float>(rows * cols))});
    }
    // wq_a's own rows are the rank that the others have to fit.
    EXPECT_THROW(make(good, changed), ov::NodeValidationFailure) << "weight " << i;
  }
  WeightInputs half = weight_inputs(weights, good.attributes);
  WeightInputs sinks;
  sinks.add({ov::op::v0::Constant::create(ov::element::f16, {6}, std::vector<float>(6))});
  half.nodes[5] = sinks.nodes[0];
  std::copy(sinks.parts.begin(), sinks.parts.end(), half.parts.begin() + 30);
  EXPECT_THROW(make(good, half), ov::NodeValidationFailure);
}

}  // namespace dsv4::ops::testing
