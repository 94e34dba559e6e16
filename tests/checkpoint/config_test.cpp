// config.json: what the official files say, both published forms, and one line for each thing that is refused.
#include "checkpoint/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json load(const std::string& file) {
  std::ifstream in(std::string(DSV4_TEST_DATA) + "/" + file, std::ios::binary);
  return json::parse(in);
}

Config parse(const json& document) { return parse_config(document.dump(), "c.json"); }

std::string message_of(const std::string& text) {
  try {
    parse_config(text, "c.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

json toy() { return load("goldens/toy/config.json"); }

/// What transformers writes for the same model: no compress_ratios, num_hash_layers, qk_rope_head_dim, rope_scaling.
json transformers_form(json c) {
  json types = json::array(), mlp = json::array();
  const auto layers = c["num_hidden_layers"].get<size_t>();
  for (size_t i = 0; i < layers; ++i) {
    const int ratio = c["compress_ratios"][i].get<int>();
    types.push_back(ratio == 0 ? "sliding_attention" : ratio == 4 ? "compressed_sparse_attention" : "heavily_compressed_attention");
    mlp.push_back(i < c["num_hash_layers"].get<size_t>() ? "hash_moe" : "moe");
  }
  const double factor = c["qk_rope_head_dim"].get<double>() / c["head_dim"].get<double>();
  json compress = {{"rope_type", "default"}};
  if (c.contains("rope_scaling")) {
    compress = c["rope_scaling"];
    compress["rope_type"] = compress["type"];
    compress.erase("type");
    compress["attention_factor"] = 1.0;
  }
  compress["rope_theta"] = c["compress_rope_theta"];
  compress["partial_rotary_factor"] = factor;
  c["rope_parameters"] = {{"main", {{"rope_type", "default"}, {"rope_theta", c["rope_theta"]}, {"partial_rotary_factor", factor}}},
                          {"compress", compress}};
  c["layer_types"] = types;
  c["mlp_layer_types"] = mlp;
  c["compress_rates"] = {{"compressed_sparse_attention", 4}, {"heavily_compressed_attention", 128}};
  c["partial_rotary_factor"] = factor;
  for (const char* key : {"compress_ratios", "num_hash_layers", "qk_rope_head_dim", "rope_scaling"}) c.erase(key);
  return c;
}

/// Every member as text, so that a failed comparison shows which one.
std::string members(const Config& c) {
  std::ostringstream out;
  out << c.vocab_size << ' ' << c.hidden_size << ' ' << c.num_hidden_layers << ' ' << c.num_attention_heads << ' ' << c.head_dim << ' '
      << c.qk_rope_head_dim << ' ' << c.q_lora_rank << ' ' << c.o_groups << ' ' << c.o_lora_rank << ' ' << c.sliding_window << '\n'
      << c.index_n_heads << ' ' << c.index_head_dim << ' ' << c.index_topk << ' ' << c.rope_theta << ' ' << c.compress_rope_theta << '\n';
  if (c.yarn) {
    out << "yarn " << c.yarn->factor << ' ' << c.yarn->original_max_position << ' ' << c.yarn->beta_fast << ' ' << c.yarn->beta_slow
        << '\n';
  }
  out << c.max_position_embeddings << ' ' << c.n_routed_experts << ' ' << c.num_experts_per_tok << ' ' << c.n_shared_experts << ' '
      << c.moe_intermediate_size << ' ' << c.routed_scaling_factor << ' ' << c.swiglu_limit << ' ' << c.hc_mult << ' '
      << c.hc_sinkhorn_iters << ' ' << c.hc_eps << ' ' << c.rms_norm_eps << ' ' << c.num_nextn_predict_layers << ' ' << c.bos_token_id
      << '\n';
  for (const int64_t id : c.eos_token_ids) out << id << ' ';
  out << '\n' << c.fp8_block_rows << ' ' << c.fp8_block_cols << " '" << c.expert_dtype << "'\n";
  for (const std::vector<LayerConfig>* list : {&c.layers, &c.mtp_layers}) {
    for (const LayerConfig& layer : *list) out << int(layer.kind) << '/' << layer.compress_ratio << '/' << layer.hash_routed << ' ';
    out << '\n';
  }
  return out.str();
}

TEST(Config, ReadsTheOfficialFlashConfig) {
  const Config c = parse(load("configs/deepseek-v4-flash.config.json"));
  EXPECT_EQ(c.hidden_size, 4096);
  EXPECT_EQ(c.num_attention_heads * c.head_dim / c.o_groups, 4096);
  EXPECT_EQ(c.qk_rope_head_dim, 64);
  EXPECT_EQ(c.n_routed_experts, 256);
  EXPECT_EQ(c.routed_scaling_factor, 1.5);
  EXPECT_EQ(c.expert_dtype, "");  // absent in the launch file
  EXPECT_EQ(c.hc_mix(), 24);
  ASSERT_TRUE(c.yarn.has_value());
  EXPECT_EQ(c.yarn->factor, 16.0);
  EXPECT_EQ(c.yarn->original_max_position, 65536.0);
  ASSERT_EQ(c.layers.size(), 43u);
  ASSERT_EQ(c.mtp_layers.size(), 1u);
  EXPECT_EQ(c.mtp_layers[0].kind, LayerKind::kSliding);
  int sliding = 0, csa = 0, hca = 0, hashed = 0;
  for (const LayerConfig& layer : c.layers) {
    sliding += layer.kind == LayerKind::kSliding;
    csa += layer.kind == LayerKind::kCsa;
    hca += layer.kind == LayerKind::kHca;
    hashed += layer.hash_routed;
  }
  EXPECT_EQ(sliding, 2);
  EXPECT_EQ(csa, 21);
  EXPECT_EQ(hca, 20);
  EXPECT_EQ(hashed, 3);
  EXPECT_TRUE(c.layers[2].hash_routed);
  EXPECT_FALSE(c.layers[3].hash_routed);
  EXPECT_EQ(c.layers[42].kind, LayerKind::kCsa);
}

TEST(Config, ReadsTheOfficialProConfig) {
  const Config c = parse(load("configs/deepseek-v4-pro.config.json"));
  EXPECT_EQ(c.expert_dtype, "fp4");
  EXPECT_EQ(c.index_topk, 1024);
  EXPECT_EQ(c.routed_scaling_factor, 2.5);
  ASSERT_EQ(c.layers.size(), 61u);
  EXPECT_EQ(c.layers[0].kind, LayerKind::kHca);
  EXPECT_EQ(c.layers[1].compress_ratio, 128);
  EXPECT_EQ(c.layers[60].kind, LayerKind::kCsa);
}

TEST(Config, ReadsTheDirectoryOfACheckpoint) {
  const std::filesystem::path directory = std::filesystem::path(DSV4_TEST_DATA) / "goldens/hash";
  EXPECT_EQ(members(read_config(directory)), members(parse(load("goldens/hash/config.json"))));
}

TEST(Config, BothFormsOfTheSameModelAreEqual) {
  for (const char* file : {"configs/deepseek-v4-flash.config.json", "configs/deepseek-v4-pro.config.json", "goldens/toy/config.json",
                           "goldens/hash/config.json"}) {
    SCOPED_TRACE(file);
    const json deepseek = load(file);
    EXPECT_EQ(members(parse(transformers_form(deepseek))), members(parse(deepseek)));
  }
}

TEST(Config, BasesStatedOnlyInRopeParametersAreRead) {
  json c = transformers_form(toy());
  c.erase("rope_theta");
  c.erase("compress_rope_theta");
  c["rope_parameters"]["main"]["rope_theta"] = 5000;
  c["rope_parameters"]["compress"]["rope_theta"] = 70000.5;
  const Config config = parse(c);
  EXPECT_EQ(config.rope_theta, 5000.0);
  EXPECT_EQ(config.compress_rope_theta, 70000.5);
}

TEST(Config, ClassComesFromLayerTypesAndRateFromCompressRates) {
  json c = transformers_form(toy());
  c["layer_types"] = {"heavily_compressed_attention", "compressed_sparse_attention", "sliding_attention", "sliding_attention"};
  c["compress_rates"] = {{"compressed_sparse_attention", 8}, {"heavily_compressed_attention", 4}};
  const Config config = parse(c);
  EXPECT_EQ(config.layers[0].kind, LayerKind::kHca);
  EXPECT_EQ(config.layers[0].compress_ratio, 4);
  EXPECT_EQ(config.layers[1].kind, LayerKind::kCsa);
  EXPECT_EQ(config.layers[1].compress_ratio, 8);
  EXPECT_EQ(config.layers[2].compress_ratio, 0);
}

TEST(Config, CompressRatesDefaultToTheReleases) {
  json c = transformers_form(toy());
  c.erase("compress_rates");
  EXPECT_EQ(members(parse(c)), members(parse(toy())));
}

TEST(Config, RatiosOtherThanZeroAndFourAreHeavilyCompressed) {
  json c = toy();
  c["compress_ratios"] = {0, 16, 4, 2};
  const Config config = parse(c);
  EXPECT_EQ(config.layers[1].kind, LayerKind::kHca);
  EXPECT_EQ(config.layers[1].compress_ratio, 16);
  EXPECT_EQ(config.layers[2].kind, LayerKind::kCsa);
  EXPECT_EQ(config.layers[3].kind, LayerKind::kHca);
}

TEST(Config, FurtherRatiosBelongToMtpBlocks) {
  json c = toy();
  c["num_nextn_predict_layers"] = 1;
  EXPECT_EQ(parse(c).mtp_layers.at(0).kind, LayerKind::kSliding);  // missing: 0
  c["compress_ratios"] = {0, 0, 4, 128, 0, 0, 0};                  // 0731: more entries than blocks
  const Config config = parse(c);
  EXPECT_EQ(config.layers.size(), 4u);
  EXPECT_EQ(config.mtp_layers.size(), 1u);
  c["compress_ratios"] = {0, 0, 4, 128, 128};
  EXPECT_EQ(parse(c).mtp_layers.at(0).kind, LayerKind::kHca);
}

TEST(Config, EndOfSequenceIsOneIdOrSeveralOrNone) {
  json c = toy();
  c["eos_token_id"] = {1, 7, 511};
  EXPECT_THAT(parse(c).eos_token_ids, testing::ElementsAre(1, 7, 511));
  c["eos_token_id"] = 5;
  EXPECT_THAT(parse(c).eos_token_ids, testing::ElementsAre(5));
  c["eos_token_id"] = nullptr;
  EXPECT_THAT(parse(c).eos_token_ids, testing::IsEmpty());
  c.erase("eos_token_id");
  EXPECT_THAT(parse(c).eos_token_ids, testing::ElementsAre(1));
}

TEST(Config, NoScalingIsNullOrDefaultOrAbsent) {
  json c = toy();
  EXPECT_FALSE(parse(c).yarn.has_value());
  c["rope_scaling"] = nullptr;
  EXPECT_FALSE(parse(c).yarn.has_value());
  c["rope_scaling"] = {{"rope_type", "default"}};
  EXPECT_FALSE(parse(c).yarn.has_value());
  c["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 128}};
  ASSERT_TRUE(parse(c).yarn.has_value());
  EXPECT_EQ(parse(c).yarn->beta_fast, 32.0);
}

TEST(Config, FieldsNobodyNeedsAreIgnored) {
  json c = toy();
  c["dspark_target_layer_ids"] = {40, 41, 42};
  c["transformers_weights"] = {{"a", {{"b", 1}}}};
  EXPECT_EQ(members(parse(c)), members(parse(toy())));
}

/// With three DSpark stages.
json with_dspark() {
  json c = toy();
  c["compress_ratios"] = {0, 0, 4, 128, 0, 0, 0};
  c["dspark_block_size"] = 5;
  c["dspark_noise_token_id"] = 3;
  c["dspark_target_layer_ids"] = {1, 2, 3};
  c["dspark_markov_rank"] = 8;
  return c;
}

TEST(Config, ReadsDsparksFields) {
  const Config config = parse(with_dspark());
  ASSERT_TRUE(config.dspark.has_value());
  EXPECT_EQ(config.dspark->block_size, 5);
  EXPECT_EQ(config.dspark->noise_token_id, 3);
  EXPECT_THAT(config.dspark->target_layers, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(config.dspark->markov_rank, 8);
  EXPECT_EQ(config.mtp_layers.size(), 3u);
}

struct Refused {
  const char* name;
  std::function<void(json&)> change;
  const char* expected;  ///< part of the message
};

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }

class RefusedConfig : public testing::TestWithParam<Refused> {};

TEST_P(RefusedConfig, IsRefusedInOneLineThatNamesFileAndField) {
  json c = toy();
  GetParam().change(c);
  const std::string message = message_of(c.dump());
  EXPECT_THAT(message, AllOf(HasSubstr("c.json: "), HasSubstr(GetParam().expected), Not(HasSubstr("\n"))));
}

void yarn(json& c) {
  c["rope_scaling"] = {{"type", "yarn"}, {"factor", 16}, {"original_max_position_embeddings", 4096}, {"beta_fast", 32}, {"beta_slow", 1}};
}

/// A quantization_config of compressed-tensors with one group.
json compressed_tensors(const json& weights, const json& changes = json::object()) {
  json config = {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}};
  if (!weights.empty()) config["config_groups"]["group_0"]["weights"] = weights;
  config.merge_patch(changes);
  return config;
}

#define DSV4_SET(key, ...) [](json& c) { c[key] = __VA_ARGS__; }
#define DSV4_DROP(key) [](json& c) { c.erase(key); }

const Refused kRefused[] = {
    // Sizes that no tensor bears out, and that would cost memory or leave 32 bits when the model runs.
    {"LongWindow", DSV4_SET("sliding_window", 1 << 20), "sliding_window: found 1048576, expected an integer in 1..8192"},
    {"ManyEntries", DSV4_SET("index_topk", int64_t{1} << 31), "index_topk: found 2147483648, expected an integer in 1..1048576"},
    {"ManyPositions", DSV4_SET("max_position_embeddings", 1 << 24),
     "max_position_embeddings: found 16777216, expected an integer in 1..15728640"},
    {"LongBlocks", DSV4_SET("compress_ratios", {0, 0, 4, 8193}), "compress_ratios[3]: found 8193, expected an integer in 0..8192"},
    {"ManyChunks",
     [](json& c) {
       c["head_dim"] = 1 << 15;
       c["index_head_dim"] = 130;
     },
     "index_head_dim: found 130, whose largest divisor in common with head_dim 32768 is 2"},
#define DSV4_DSPARK(key, ...) \
  [](json& c) {               \
    c = with_dspark();        \
    c[key] = __VA_ARGS__;     \
  }
    {"DsparkTargetBeyond", DSV4_DSPARK("dspark_target_layer_ids", {1, 2, 4}),
     "dspark_target_layer_ids[2]: found 4, expected an integer in 3..3"},
    {"DsparkTargetTwice", DSV4_DSPARK("dspark_target_layer_ids", {1, 1, 3}),
     "dspark_target_layer_ids[1]: found 1, expected an integer in 2..3"},
    {"DsparkTargetNegative", DSV4_DSPARK("dspark_target_layer_ids", {-1}),
     "dspark_target_layer_ids[0]: found -1, expected an integer in 0..3"},
    {"DsparkNoTargets", DSV4_DSPARK("dspark_target_layer_ids", json::array()), "dspark_target_layer_ids: found 0 layers"},
    {"DsparkTargetText", DSV4_DSPARK("dspark_target_layer_ids", {"1"}), "dspark_target_layer_ids[0]: found \"1\""},
    {"DsparkNoiseBeyond", DSV4_DSPARK("dspark_noise_token_id", 512), "dspark_noise_token_id: found 512, expected an integer in 0..511"},
    {"DsparkNoBlock", DSV4_DSPARK("dspark_block_size", 0), "dspark_block_size: found 0"},
    {"DsparkHugeBlock", DSV4_DSPARK("dspark_block_size", 65), "dspark_block_size: found 65, expected an integer in 1..64"},
    {"DsparkBlockMissing",
     [](json& c) {
       c = with_dspark();
       c.erase("dspark_block_size");
     },
     "dspark_block_size: missing"},
    {"DsparkNoRank", DSV4_DSPARK("dspark_markov_rank", 0), "dspark_markov_rank: found 0"},
    {"V41", DSV4_SET("model_type", "deepseek_v41"), "DeepSeek-V4.1 is a different architecture"},
    {"V3", DSV4_SET("model_type", "deepseek_v3"), "model_type: found \"deepseek_v3\", expected \"deepseek_v4\""},
    {"NoModelType", DSV4_DROP("model_type"), "model_type: missing"},
    {"ModelTypeNumber", DSV4_SET("model_type", 4), "model_type: found 4, expected a string"},
    {"Scoring", DSV4_SET("scoring_func", "sigmoid"), "scoring_func: found \"sigmoid\", expected \"sqrtsoftplus\""},
    {"ScoringNumber", DSV4_SET("scoring_func", 3), "scoring_func: found 3"},
    {"TopkMethod", DSV4_SET("topk_method", "greedy"), "topk_method: found \"greedy\", expected \"noaux_tc\""},
    {"Activation", DSV4_SET("hidden_act", "gelu"), "hidden_act: found \"gelu\", expected \"silu\""},
    {"SharedExperts", DSV4_SET("n_shared_experts", 2), "n_shared_experts: found 2, expected an integer in 1..1"},
    {"KvHeads", DSV4_SET("num_key_value_heads", 4), "num_key_value_heads: found 4"},
    {"AttentionBias", DSV4_SET("attention_bias", true), "attention_bias: found true, expected false"},
    {"MlpBias", DSV4_SET("mlp_bias", true), "mlp_bias: found true, expected false"},
    {"TiedHead", DSV4_SET("tie_word_embeddings", true), "tie_word_embeddings: found true, expected false"},
    {"TiedHeadText", DSV4_SET("tie_word_embeddings", "no"), "tie_word_embeddings: found \"no\", expected true or false"},
    {"NotNormalised", DSV4_SET("norm_topk_prob", false), "norm_topk_prob: found false, expected true"},
    {"NoVocab", DSV4_DROP("vocab_size"), "vocab_size: missing"},
    {"NullVocab", DSV4_SET("vocab_size", nullptr), "vocab_size: found null"},
    {"VocabText", DSV4_SET("vocab_size", "512"), "vocab_size: found \"512\", expected an integer"},
    {"VocabFraction", DSV4_SET("vocab_size", 512.5), "vocab_size: found 512.5, expected an integer"},
    {"VocabZero", DSV4_SET("vocab_size", 0), "vocab_size: found 0"},
    {"VocabNegative", DSV4_SET("vocab_size", -512), "vocab_size: found -512"},
    {"VocabHuge", DSV4_SET("vocab_size", uint64_t{18446744073709551615u}), "vocab_size: found 18446744073709551615"},
    {"HiddenHuge", DSV4_SET("hidden_size", int64_t{1} << 40), "hidden_size: found 1099511627776"},
    {"HiddenList", DSV4_SET("hidden_size", {128}), "hidden_size: found [128]"},
    {"HiddenBool", DSV4_SET("hidden_size", true), "hidden_size: found true"},
    {"NoLayers", DSV4_SET("num_hidden_layers", 0), "num_hidden_layers: found 0"},
    {"ManyLayers", DSV4_SET("num_hidden_layers", 100000), "num_hidden_layers: found 100000"},
    {"OddHeadDim", DSV4_SET("head_dim", 33), "head_dim: found 33, expected an even number"},
    {"OddIndexHeadDim", DSV4_SET("index_head_dim", 31), "index_head_dim: found 31, expected an even number"},
    {"OddRope", DSV4_SET("qk_rope_head_dim", 7), "qk_rope_head_dim: found 7 rotated dimensions, expected an even number"},
    {"RopeAboveHead", DSV4_SET("qk_rope_head_dim", 64), "qk_rope_head_dim: found 64"},
    {"RopeAboveIndexHead", DSV4_SET("index_head_dim", 4), "qk_rope_head_dim: found 8"},
    {"NoRopeDims", DSV4_DROP("qk_rope_head_dim"), "qk_rope_head_dim: missing"},
    {"RopeContradiction", DSV4_SET("partial_rotary_factor", 0.5),
     "qk_rope_head_dim: found 8, but partial_rotary_factor 0.5 of head_dim 32 is 16"},
    {"Groups", DSV4_SET("o_groups", 3), "o_groups: found 3, expected a divisor of num_attention_heads 4"},
    {"MoreActiveThanExperts", DSV4_SET("num_experts_per_tok", 9), "num_experts_per_tok: found 9, expected at most n_routed_experts 8"},
    {"ManyExperts", DSV4_SET("n_routed_experts", 1 << 20), "n_routed_experts: found 1048576"},
    {"ManyExpertsInAll",
     [](json& c) {
       c["n_routed_experts"] = 16384;
       c["num_hidden_layers"] = 64;
       c["compress_ratios"] = json(std::vector<int>(64, 0));
     },
     "n_routed_experts: found 16384 in 64 layers"},
    {"Fp4HiddenSize", DSV4_SET("hidden_size", 100), "hidden_size: found 100, expected a multiple of 32"},
    {"Fp4Width", DSV4_SET("moe_intermediate_size", 48), "moe_intermediate_size: found 48, expected a multiple of 32"},
    {"ExpertType", DSV4_SET("expert_dtype", "int3"), "expert_dtype: found \"int3\""},
    {"Window", DSV4_SET("sliding_window", 0), "sliding_window: found 0"},
    {"Topk", DSV4_SET("index_topk", -1), "index_topk: found -1"},
    {"Streams", DSV4_SET("hc_mult", 1000), "hc_mult: found 1000"},
    {"Sinkhorn", DSV4_SET("hc_sinkhorn_iters", 0), "hc_sinkhorn_iters: found 0"},
    {"NegativeEps", DSV4_SET("hc_eps", -1e-6), "hc_eps: found -1e-06"},
    {"ZeroNormEps", DSV4_SET("rms_norm_eps", 0.0), "rms_norm_eps: found 0.0"},
    {"EpsText", DSV4_SET("rms_norm_eps", "1e-6"), "rms_norm_eps: found \"1e-6\", expected a number"},
    {"NegativeLimit", DSV4_SET("swiglu_limit", -10), "swiglu_limit: found -10"},
    {"NoLimit", DSV4_DROP("swiglu_limit"), "swiglu_limit: missing"},
    {"ZeroScaling", DSV4_SET("routed_scaling_factor", 0), "routed_scaling_factor: found 0"},
    {"Theta", DSV4_SET("rope_theta", 1.0), "rope_theta: found 1.0"},
    {"NoCompressTheta", DSV4_DROP("compress_rope_theta"), "compress_rope_theta: missing"},
    {"ScalingText", DSV4_SET("rope_scaling", "yarn"), "rope_scaling: found \"yarn\", expected an object"},
    {"ScalingType", DSV4_SET("rope_scaling", {{"type", "linear"}, {"factor", 2}}),
     "rope_scaling.type: found \"linear\", expected \"yarn\""},
    {"ScalingRopeType", DSV4_SET("rope_scaling", {{"rope_type", "llama3"}}), "rope_scaling.rope_type: found \"llama3\""},
    {"ScalingNoType", DSV4_SET("rope_scaling", {{"factor", 2}}), "rope_scaling.type: missing"},
    {"YarnNoFactor", [](json& c) { yarn(c), c["rope_scaling"].erase("factor"); }, "rope_scaling.factor: missing"},
    {"YarnFactor", [](json& c) { yarn(c), c["rope_scaling"]["factor"] = 0.5; }, "rope_scaling.factor: found 0.5"},
    {"YarnOriginal", [](json& c) { yarn(c), c["rope_scaling"]["original_max_position_embeddings"] = 0; },
     "rope_scaling.original_max_position_embeddings: found 0"},
    {"YarnBetas", [](json& c) { yarn(c), c["rope_scaling"]["beta_slow"] = 64; },
     "rope_scaling.beta_fast: found 32, expected at least beta_slow 64"},
    {"YarnAmplitude", [](json& c) { yarn(c), c["rope_scaling"]["attention_factor"] = 1.277; },
     "rope_scaling.attention_factor: found 1.277"},
    {"NoLists", DSV4_DROP("compress_ratios"), "compress_ratios: missing, and layer_types too"},
    {"ShortRatios", DSV4_SET("compress_ratios", {0, 0, 4}), "compress_ratios: found 3 entries, expected at least num_hidden_layers 4"},
    {"RatioText", DSV4_SET("compress_ratios", {0, 0, "4", 128}), "compress_ratios[2]: found \"4\""},
    {"RatioNegative", DSV4_SET("compress_ratios", {0, 0, 4, -1}), "compress_ratios[3]: found -1"},
    {"RatioBeyondTheLayers", DSV4_SET("compress_ratios", {0, 0, 4, 128, 0, -7}), "compress_ratios[5]: found -7"},
    {"RatiosObject", DSV4_SET("compress_ratios", json::object()), "compress_ratios: found {}, expected a list"},
    {"NoHashLayers", DSV4_DROP("num_hash_layers"), "num_hash_layers: missing"},
    {"LayerType", [](json& c) { c = transformers_form(c), c["layer_types"][1] = "full_attention"; },
     "layer_types[1]: found \"full_attention\""},
    {"LayerTypeCount", [](json& c) { c = transformers_form(c), c["layer_types"].erase(0); }, "layer_types: found 3 entries"},
    {"MlpType", [](json& c) { c = transformers_form(c), c["mlp_layer_types"][0] = "dense"; }, "mlp_layer_types[0]: found \"dense\""},
    {"MlpTypeCount", [](json& c) { c = transformers_form(c), c["mlp_layer_types"].push_back("moe"); }, "mlp_layer_types: found 5 entries"},
    {"CompressRate", [](json& c) { c = transformers_form(c), c["compress_rates"]["compressed_sparse_attention"] = 0; },
     "compress_rates.compressed_sparse_attention: found 0"},
    {"ListsDisagree",
     [](json& c) {
       c = transformers_form(c), c["compress_ratios"] = {0, 0, 4, 4};
     },
     "compress_ratios[3]: found 4, but layer_types and compress_rates say 128"},
    {"HashListsDisagree", [](json& c) { c = transformers_form(c), c["num_hash_layers"] = 2; },
     "mlp_layer_types[0]: found \"moe\", but num_hash_layers says 2"},
    {"ThetasDisagree", [](json& c) { c = transformers_form(c), c["rope_parameters"]["main"]["rope_theta"] = 20000; },
     "rope_parameters.main.rope_theta: found 20000, but rope_theta says 10000"},
    {"ScalingsDisagree", [](json& c) { c = transformers_form(c), yarn(c); }, "but rope_parameters says"},
    {"ScaledMain", [](json& c) { yarn(c), c = transformers_form(c), c["rope_parameters"]["main"] = c["rope_parameters"]["compress"]; },
     "rope_parameters.main.rope_type: found \"yarn\", expected \"default\""},
    {"NoCompressRope", [](json& c) { c = transformers_form(c), c["rope_parameters"].erase("compress"); },
     "rope_parameters.compress: missing"},
    {"MtpNegative", DSV4_SET("num_nextn_predict_layers", -1), "num_nextn_predict_layers: found -1"},
    {"Bos", DSV4_SET("bos_token_id", 512), "bos_token_id: found 512, expected an integer in 0..511"},
    {"Eos", DSV4_SET("eos_token_id", "1"), "eos_token_id: found \"1\""},
    {"EosInList", DSV4_SET("eos_token_id", {1, 512}), "eos_token_id[1]: found 512"},
    {"QuantMethod", DSV4_SET("quantization_config", {{"quant_method", "awq"}}), "quantization_config.quant_method: found \"awq\""},
    {"Gptq", DSV4_SET("quantization_config", {{"quant_method", "gptq"}}),
     "found \"gptq\": weights quantised by GPTQ are not read; take the release itself (FP8 and FP4), or BF16, NVFP4 or compressed-tensors "
     "W4A16 experts"},
    {"NvidiaAwq", DSV4_SET("quantization_config", {{"quant_algo", "W4A16_AWQ"}}), "quantization_config.quant_algo: found \"W4A16_AWQ\""},
    {"NvidiaMoeAwq", DSV4_SET("quantization_config", {{"moe_quant_algo", "NVFP4_AWQ"}}),
     "quantization_config.moe_quant_algo: found \"NVFP4_AWQ\""},
    {"PackedFormat", DSV4_SET("quantization_config", compressed_tensors({}, {{"format", "marlin-24"}})),
     "quantization_config.format: found \"marlin-24\", expected \"pack-quantized\""},
    {"PackedGroupFormat", DSV4_SET("quantization_config", compressed_tensors({}, {{"config_groups", {{"g", {{"format", "x"}}}}}})),
     "quantization_config.config_groups.g.format: found \"x\""},
    {"PackedSparse", DSV4_SET("quantization_config", compressed_tensors({}, {{"sparsity_config", {{"format", "sparse-24-bitmask"}}}})),
     "quantization_config.sparsity_config.format: found \"sparse-24-bitmask\", expected \"dense\""},
    {"PackedRotated",
     DSV4_SET("quantization_config", compressed_tensors({}, {{"transform_config", {{"config_groups", {{"R1", {{"type", "hadamard"}}}}}}}})),
     "quantization_config.transform_config: found"},
    {"PackedBits", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 8}})),
     "quantization_config.config_groups.group_0.weights.num_bits: found 8, expected 4 for type \"int\""},
    {"PackedNoBits", DSV4_SET("quantization_config", compressed_tensors({{"type", "int"}})), "num_bits: found 8, expected 4"},
    {"PackedType", DSV4_SET("quantization_config", compressed_tensors({{"type", "log"}})),
     "weights.type: found \"log\", expected \"int\" or \"float\""},
    {"PackedBlocks", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 4}, {"strategy", "block"}})),
     "weights.strategy: found \"block\", expected \"group\""},
    {"PackedGroup", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 4}, {"group_size", 0}})),
     "weights.group_size: found 0"},
    {"PackedFloatBits", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 6}, {"type", "float"}})),
     "weights.num_bits: found 6, expected 4 or 8"},
    {"PackedFloatGroup", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 4}, {"type", "float"}, {"group_size", 64}})),
     "weights.group_size: found 64, expected 16 (NVFP4) or 32 (MXFP4)"},
    {"PackedSymmetry", DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 4}, {"symmetric", 1}})),
     "weights.symmetric: found 1"},
    {"PackedStructure",
     DSV4_SET("quantization_config",
              compressed_tensors({{"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", "128y"}})),
     "weights.block_structure: found \"128y\", expected two integers"},
    {"PackedStructureZero",
     DSV4_SET("quantization_config", compressed_tensors({{"num_bits", 8}, {"type", "float"}, {"block_structure", {128, 0}}})),
     "weights.block_structure[1]: found 0"},
    {"PackedGroupName", DSV4_SET("quantization_config", compressed_tensors({}, {{"config_groups", {{"a\nb", 3}}}})),
     "quantization_config.config_groups.a\\x0ab: found 3, expected an object"},
    {"QuantFormat", DSV4_SET("quantization_config", {{"fmt", "e5m2"}}), "quantization_config.fmt: found \"e5m2\""},
    {"QuantList", DSV4_SET("quantization_config", json::array()), "quantization_config: found [], expected an object"},
    {"BlockCount", DSV4_SET("quantization_config", {{"weight_block_size", {128}}}),
     "weight_block_size: found [128], expected two integers"},
    {"BlockZero", DSV4_SET("quantization_config", {{"weight_block_size", {128, 0}}}), "weight_block_size[1]: found 0"},
};

INSTANTIATE_TEST_SUITE_P(Config, RefusedConfig, testing::ValuesIn(kRefused), [](const auto& test) { return std::string(test.param.name); });

TEST(Config, TextThatIsNoConfigIsRefused) {
  EXPECT_THAT(message_of(""), HasSubstr("c.json: not valid JSON"));
  EXPECT_THAT(message_of("{\"model_type\": \"deepseek_v4\""), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(message_of("[1, 2]"), HasSubstr("found [1,2], expected a JSON object"));
  EXPECT_THAT(message_of("null"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message_of("{\"model_type\": \"\xff\"}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(message_of("{\"hidden_size\": 1e999}"), HasSubstr("holds a number that no double can hold"));
}

TEST(Config, EndlessNestingIsRefusedBeforeItIsParsed) {
  EXPECT_THAT(message_of(std::string(1 << 20, '[')), HasSubstr("nested deeper than 64 levels at byte 64"));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_THAT(message_of(objects), HasSubstr("nested deeper than 64 levels"));
}

TEST(Config, BracketsInStringsAreNoNesting) {
  json c = toy();
  c["note"] = std::string(1000, '[') + "\"\\{";
  EXPECT_EQ(members(parse(c)), members(parse(toy())));
}

TEST(Config, TextOfManyMegabytesIsRefused) {
  EXPECT_THAT(message_of(std::string(17 << 20, ' ')), HasSubstr("17825792 bytes, expected a config of at most 16777216"));
}

TEST(Config, LongValuesAreCutInMessages) {
  json c = toy();
  c["model_type"] = std::string(100000, 'x') + "\n";
  EXPECT_LT(message_of(c.dump()).size(), 200u);
}

TEST(Config, MissingDirectoryAndMissingFileAreNamed) {
  try {
    read_config("/no/such/checkpoint");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/no/such/checkpoint: no such directory"));
  }
  try {
    read_config(std::filesystem::path(DSV4_TEST_DATA) / "oracle");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("config.json: no such file"));
  }
}

}  // namespace
}  // namespace dsv4
