// Names in both directions, against rename rules written down a second time.
#include "checkpoint/names.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "checkpoint/tensor_table.h"
#include "checkpoint/transformers_spelling.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

std::vector<std::string> all_names(const std::string& config_file) {
  std::ifstream in(std::string(DSV4_TEST_DATA) + "/configs/" + config_file);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  Config config = parse_config(text, config_file);
  config.layers.resize(5);  // every kind of layer is among the first five; the rest is more of the same
  std::vector<std::string> names;
  for (const TensorSpec& spec : tensor_table(config)) {
    for (const ShardSpec& stored : shard_tensors(config, spec)) names.push_back(stored.name);
  }
  return names;
}

TEST(Names, TransformersNamesFollowTheRenameRules) {
  for (const std::string& name : all_names("deepseek-v4-flash.config.json"))
    EXPECT_EQ(transformers_name(name), test::transformers_spelling(name));
}

TEST(Names, EveryNameComesBackFromBothSchemes) {
  for (const std::string& name : all_names("deepseek-v4-pro.config.json")) {
    const auto deepseek = resolve_name(name);
    ASSERT_TRUE(deepseek) << name;
    EXPECT_EQ(deepseek->name, name);
    const auto transformers = resolve_name(test::transformers_spelling(name));
    ASSERT_TRUE(transformers) << test::transformers_spelling(name);
    EXPECT_EQ(transformers->name, name);
    if (name.rfind("mtp.", 0) == 0) continue;
    EXPECT_EQ(transformers->scheme, NameScheme::kTransformers) << test::transformers_spelling(name);
    if (name != "norm.weight") {
      EXPECT_EQ(deepseek->scheme, NameScheme::kDeepSeek) << name;
    }
  }
}

struct Spelling {
  const char* stored;
  const char* name;
};

TEST(Names, OtherSpellingsAreUnderstood) {
  const Spelling spellings[] = {
      // without the prefix, as a base model saves
      {"layers.7.self_attn.q_a_proj.weight", "layers.7.attn.wq_a.weight"},
      {"embed_tokens.weight", "embed.weight"},
      {"hc_head.hc_scale", "hc_head_scale"},
      // DeepSeek's names with the prefix
      {"model.layers.7.attn.wq_a.scale", "layers.7.attn.wq_a.scale"},
      {"model.head.weight", "head.weight"},
      {"model.mtp.0.e_proj.weight_scale_inv", "mtp.0.e_proj.scale"},
      // scales
      {"layers.7.attn.wq_a.weight_scale_inv", "layers.7.attn.wq_a.scale"},
      {"model.layers.7.self_attn.q_a_proj.scale", "layers.7.attn.wq_a.scale"},
      // older versions and halfway names
      {"model.layers.7.self_attn.q_norm.weight", "layers.7.attn.q_norm.weight"},
      {"model.layers.7.self_attn.attn_sink", "layers.7.attn.attn_sink"},
      {"layers.7.attn.sinks", "layers.7.attn.attn_sink"},
      {"model.layers.7.self_attn.indexer.q_b_proj.weight", "layers.7.attn.indexer.wq_b.weight"},
      {"model.layers.7.self_attn.indexer.position_bias", "layers.7.attn.indexer.compressor.ape"},
      {"model.layers.7.self_attn.indexer.kv_norm.weight", "layers.7.attn.indexer.compressor.norm.weight"},
      {"model.layers.7.self_attn.compressor.indexer.weights_proj.weight", "layers.7.attn.indexer.weights_proj.weight"},
      {"model.layers.7.mlp.gate.bias", "layers.7.ffn.gate.bias"},
      // as releases of transformers save: 5.15 and later, 5.8
      {"model.layers.7.attn.norm.weight", "layers.7.attn.kv_norm.weight"},
      {"model.layers.7.self_attn.norm.weight", "layers.7.attn.kv_norm.weight"},
      {"model.layers.7.attn.norm.scale", "layers.7.attn.kv_norm.scale"},
      {"model.layers.7.mlp.experts..30.w1.weight", "layers.7.ffn.experts.30.w1.weight"},
      // weights in fewer bits
      {"layers.7.ffn.experts.30.w1.weight_scale", "layers.7.ffn.experts.30.w1.scale"},
      {"layers.7.ffn.experts.30.w1.weight_scale_2", "layers.7.ffn.experts.30.w1.weight_scale_2"},
      {"model.layers.7.mlp.experts.30.down_proj.weight_packed", "layers.7.ffn.experts.30.w2.weight_packed"},
      {"model.layers.7.mlp.experts.30.down_proj.weight_global_scale", "layers.7.ffn.experts.30.w2.weight_global_scale"},
      {"model.layers.7.mlp.experts.30.up_proj.weight_zero_point", "layers.7.ffn.experts.30.w3.weight_zero_point"},
      {"model.layers.7.self_attn.q_a_proj.weight_shape", "layers.7.attn.wq_a.weight_shape"},
      {"model.layers.7.self_attn.q_a_proj.weight_g_idx", "layers.7.attn.wq_a.weight_g_idx"},
      {"lm_head.weight_packed", "head.weight_packed"},
      {"mtp.0.ffn.experts.3.w1.weight_scale", "mtp.0.ffn.experts.3.w1.scale"},
      // experts, one by one and stacked
      {"model.layers.7.mlp.experts.30.up_proj.weight", "layers.7.ffn.experts.30.w3.weight"},
      {"model.layers.7.mlp.experts.0.w2.weight", "layers.7.ffn.experts.0.w2.weight"},
      {"model.layers.7.mlp.experts.gate_up_proj", "layers.7.ffn.experts.w13.weight"},
      {"model.layers.7.mlp.experts.down_proj", "layers.7.ffn.experts.w2.weight"},
      {"model.layers.7.mlp.experts.gate_up_proj_scale_inv", "layers.7.ffn.experts.w13.scale"},
      {"model.layers.7.mlp.experts.down_proj.weight_scale_inv", "layers.7.ffn.experts.w2.scale"},
  };
  for (const Spelling& spelling : spellings) {
    const auto resolved = resolve_name(spelling.stored);
    ASSERT_TRUE(resolved) << spelling.stored;
    EXPECT_EQ(resolved->name, spelling.name) << spelling.stored;
  }
}

TEST(Names, StackedExpertsHaveTransformersNames) {
  EXPECT_EQ(transformers_name("layers.7.ffn.experts.w13.weight"), "model.layers.7.mlp.experts.gate_up_proj");
  EXPECT_EQ(transformers_name("layers.7.ffn.experts.w2.scale"), "model.layers.7.mlp.experts.down_proj_scale_inv");
}

TEST(Names, TextThatIsNoTensorNameIsNotUnderstood) {
  for (const char* name : {"",
                           "model.",
                           "layers.",
                           "layers.0",
                           "layers.0.",
                           "layers.x.attn.wq_a.weight",
                           "layers.-1.attn.wq_a.weight",
                           "layers.00.attn.wq_a.weight",
                           "layers.99999999999999999999.attn.wq_a.weight",
                           "layers.0.attn.wq_a",
                           "layers.0.attn.wq_a.weight.x",
                           "layers.0.attn.wq_c.weight",
                           "layers.0.ffn.experts.w1.weight",
                           "layers.0.ffn.experts.1.w4.weight",
                           "layers.0.ffn.experts.1.w1",
                           "layers.0.ffn.experts.01.w1.weight",
                           "layers.0.ffn.experts.-1.w1.weight",
                           "layers.0.ffn.experts.",
                           "model.model.embed.weight",
                           "visual.embed.weight",
                           "layers.0.ffn.gate.bias_vl",
                           "layers.0.attn_norm",
                           "embed",
                           "embed.weight ",
                           "norm.bias"}) {
    EXPECT_FALSE(resolve_name(name)) << name;
  }
}

TEST(Names, OnlyDeepSeekNamesHaveTransformersNames) {
  for (const char* name : {"", "embed", "layers.0.self_attn.q_a_proj.weight", "layers.x.attn.wq_a.weight", "layers.0.attn.wq_a"}) {
    EXPECT_THROW(transformers_name(name), Error) << name;
  }
}

TEST(Names, ExpertNamesAreTakenApart) {
  const auto expert = parse_expert_name("layers.12.ffn.experts.383.w2.scale");
  ASSERT_TRUE(expert);
  EXPECT_EQ(expert->prefix, "layers.12.ffn.experts.");
  EXPECT_EQ(expert->expert, 383);
  EXPECT_EQ(expert->matrix, 2);
  EXPECT_EQ(expert->leaf, ".scale");
  for (const char* name : {"layers.1.ffn.shared_experts.w1.weight", "layers.1.ffn.experts.w13.weight", "layers.1.ffn.experts.1.w13.weight",
                           "layers.1.ffn.experts.1.w1", "embed.weight", ""}) {
    EXPECT_FALSE(parse_expert_name(name)) << name;
  }
}

TEST(Names, LayerNumbersAreRead) {
  EXPECT_EQ(layer_number("layers.60.attn.wq_a.weight"), 60);
  EXPECT_EQ(layer_number("mtp.0.attn.wq_a.weight"), std::nullopt);
  EXPECT_EQ(layer_number("layers.60"), std::nullopt);
}

TEST(Names, RotaryBuffersAreIgnored) {
  EXPECT_TRUE(is_ignored_buffer("model.rotary_emb.inv_freq"));
  EXPECT_TRUE(is_ignored_buffer("model.rotary_emb.main_original"));
  EXPECT_TRUE(is_ignored_buffer("model.layers.3.self_attn.rotary_emb.inv_freq"));
  EXPECT_TRUE(is_ignored_buffer("layers.3.ffn.experts.0.w1.input_scale"));
  EXPECT_TRUE(is_ignored_buffer("model.layers.3.mlp.experts.0.up_proj.input_global_scale"));
  EXPECT_TRUE(is_ignored_buffer("model.layers.3.self_attn.kv_scale"));
  EXPECT_FALSE(is_ignored_buffer("model.layers.3.self_attn.kv_proj.weight"));
  EXPECT_FALSE(is_ignored_buffer("layers.3.ffn.experts.0.w1.weight_scale"));
  EXPECT_FALSE(is_ignored_buffer("layers.3.ffn.experts.0.w1.pre_quant_scale"));
}

}  // namespace
}  // namespace dsv4
