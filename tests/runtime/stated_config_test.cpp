// One truth in a folder: config.json against what the IR states, and the tokens that end a generation.
#include "runtime/stated_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "dsv4/engine.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;
namespace fs = std::filesystem;

/// A folder of the golden with every kind of layer, hash routing and YaRN; each test has its files anew.
class StatedConfig : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    folder_ = convert_golden("hash", directory_->path());
    fs::remove(folder_ / "dsv4_files.json");  // which would refuse every other .xml
  }
  static void TearDownTestSuite() { delete directory_; }

  StatedConfig() : config_(read_file(folder_ / "config.json")), xml_(read_file(folder_ / "openvino_model.xml")) {}
  ~StatedConfig() override {
    write_file(folder_ / "config.json", config_);
    write_file(folder_ / "openvino_model.xml", xml_);
  }

  /// What opening says: an error, else notices; each program in turn, and both have to say the same.
  std::string said_by_both() {
    const std::string cpu = said(Program::kCpu), portable = said(Program::kPortable);
    EXPECT_EQ(cpu, portable);
    return cpu;
  }

  std::string said(Program program) {
    std::string notices;
    EngineOptions options = last_position(program);
    options.context = 64;
    options.notice = [&](const std::string& line) { notices += line; };
    const std::string error = error_of([&] { const Engine engine(folder_, options); });
    return error.empty() ? notices : error;
  }

  void change_config(const json& changes) { change_json(folder_ / "config.json", changes); }
  void change_xml(const std::string& pattern, const std::string& replacement) {
    const std::string changed = std::regex_replace(xml_, std::regex(pattern), replacement);
    ASSERT_NE(changed, xml_);
    write_file(folder_ / "openvino_model.xml", changed);
  }

  static inline TemporaryDirectory* directory_ = nullptr;
  static inline fs::path folder_;
  std::string config_, xml_;
};

struct Change {
  const char* named;  ///< what the message has to say
  json changes;
};

TEST_F(StatedConfig, AFieldThatTheModelDependsOnIsRefusedByName) {
  // Every field of config.json that the graph, the operations or the reference read; the values are valid by themselves.
  const Change changes[] = {
      {"num_hidden_layers", {{"num_hidden_layers", 6}}},
      {"compress_ratios", {{"compress_ratios", {0, 0, 4, 128, 4, 128, 0}}}},
      {"compress_ratios", {{"compress_ratios", {0, 0, 4, 64, 4, 128, 4}}}},
      {"num_hash_layers", {{"num_hash_layers", 2}}},
      {"vocab_size", {{"vocab_size", 300}}},
      {"hidden_size", {{"hidden_size", 160}}},
      {"num_attention_heads", {{"num_attention_heads", 8}}},
      {"head_dim", {{"head_dim", 64}, {"rope_parameters", {{"main", {{"partial_rotary_factor", 0.5}}}}}}},
      {"qk_rope_head_dim", {{"qk_rope_head_dim", 24}, {"rope_parameters", {{"main", {{"partial_rotary_factor", 0.25}}}}}}},
      {"q_lora_rank", {{"q_lora_rank", 32}}},
      {"o_groups", {{"o_groups", 4}}},
      {"o_lora_rank", {{"o_lora_rank", 16}}},
      {"sliding_window", {{"sliding_window", 127}}},
      {"index_n_heads", {{"index_n_heads", 4}}},
      {"index_head_dim", {{"index_head_dim", 32}}},
      {"index_topk", {{"index_topk", 5}}},
      {"rope_theta", {{"rope_theta", 10000.5}, {"rope_parameters", {{"main", {{"rope_theta", 10000.5}}}}}}},
      {"compress_rope_theta", {{"compress_rope_theta", 40000}, {"rope_parameters", {{"compress", {{"rope_theta", 40000}}}}}}},
      {"rope_scaling.type", {{"rope_parameters", {{"compress", {{"rope_type", "default"}}}}}}},
      {"rope_scaling.factor", {{"rope_parameters", {{"compress", {{"factor", 4}}}}}}},
      {"rope_scaling.original_max_position_embeddings",
       {{"rope_parameters", {{"compress", {{"original_max_position_embeddings", 65536}}}}}}},
      {"rope_scaling.beta_fast", {{"rope_parameters", {{"compress", {{"beta_fast", 33}}}}}}},
      {"rope_scaling.beta_slow", {{"rope_parameters", {{"compress", {{"beta_slow", 2}}}}}}},
      {"n_routed_experts", {{"n_routed_experts", 6}}},
      {"num_experts_per_tok", {{"num_experts_per_tok", 3}}},
      {"moe_intermediate_size", {{"moe_intermediate_size", 32}}},
      {"routed_scaling_factor", {{"routed_scaling_factor", 2.5}}},
      {"swiglu_limit", {{"swiglu_limit", 10.0}}},
      {"hc_mult", {{"hc_mult", 2}}},
      {"hc_sinkhorn_iters", {{"hc_sinkhorn_iters", 19}}},
      {"hc_eps", {{"hc_eps", 1e-5}}},
      {"rms_norm_eps", {{"rms_norm_eps", 1e-5}}},
  };
  for (const Change& change : changes) {
    change_config(change.changes);
    EXPECT_THAT(said_by_both(), AllOf(HasSubstr((folder_ / "config.json").string() + ": " + change.named), HasSubstr("was made with")))
        << change.changes;
    write_file(folder_ / "config.json", config_);
  }
  EXPECT_EQ(said_by_both(), "");
}

// The folder's config.json has RoPE in its own fields and in transformers' rope_parameters.
TEST_F(StatedConfig, AFieldThatContradictsItsOtherNameIsRefusedByName) {
  const Change changes[] = {
      {"rope_theta", {{"rope_theta", 10000.5}}},
      {"compress_rope_theta", {{"compress_rope_theta", 40000}}},
      {"qk_rope_head_dim", {{"qk_rope_head_dim", 16}}},
      {"rope_parameters", {{"rope_scaling", {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 4096}}}}}};
  for (const Change& change : changes) {
    change_config(change.changes);
    EXPECT_THAT(said_by_both(), AllOf(HasSubstr((folder_ / "config.json").string() + ": "), HasSubstr(change.named), HasSubstr(", but ")));
    write_file(folder_ / "config.json", config_);
  }
}

TEST_F(StatedConfig, TheMessageHasBothValuesAndEveryOtherField) {
  change_config({{"sliding_window", 64}, {"index_topk", 8}, {"rms_norm_eps", 1e-5}});
  EXPECT_EQ(said_by_both(),
            (folder_ / "config.json").string() +
                ": sliding_window is 64, but openvino_model.xml was made with 128; so do index_topk, rms_norm_eps; put back "
                "what the model was made with, or convert the checkpoint again with this config");
}

TEST_F(StatedConfig, OtherFieldsMayChange) {
  change_config({{"transformers_version", "9.9"},
                 {"_name_or_path", "somewhere"},
                 {"max_position_embeddings", 4096},
                 {"bos_token_id", 3},
                 {"eos_token_id", {5, 6}},
                 {"torch_dtype", "float32"},
                 {"initializer_range", 1.0},
                 {"auto_map", nullptr},
                 {"expert_dtype", nullptr},
                 {"quantization_config", nullptr},
                 {"num_nextn_predict_layers", 1},
                 {"a new field", {1, 2, 3}}});
  EXPECT_EQ(said_by_both(), "");
}

TEST_F(StatedConfig, TheSameInTransformersWordsIsTheSame) {
  const std::string sliding = "sliding_attention", csa = "compressed_sparse_attention", hca = "heavily_compressed_attention";
  const json words = {{"compress_ratios", nullptr},
                      {"num_hash_layers", nullptr},
                      {"qk_rope_head_dim", nullptr},
                      {"n_routed_experts", nullptr},
                      {"rope_theta", 1e4},
                      {"partial_rotary_factor", 32.0 / 96.0},
                      {"num_local_experts", 8},
                      {"layer_types", {sliding, sliding, csa, hca, csa, hca, csa}},
                      {"mlp_layer_types", {"hash_moe", "hash_moe", "hash_moe", "moe", "moe", "moe", "moe"}},
                      {"rope_parameters",
                       {{"main", nullptr},
                        {"compress", nullptr},
                        {"rope_type", "yarn"},
                        {"factor", 16.0},
                        {"original_max_position_embeddings", 4096},
                        {"beta_fast", 32},
                        {"beta_slow", 1}}}};
  change_config(words);
  EXPECT_EQ(said_by_both(), "");
  change_config({{"layer_types", {sliding, sliding, csa, hca, csa, hca, hca}}});
  EXPECT_THAT(said_by_both(), HasSubstr("compress_ratios (or compress_rates)"));
  change_config(words);
  change_config({{"compress_rates", {{csa, 8}}}});
  EXPECT_THAT(said_by_both(), HasSubstr("compress_ratios (or compress_rates)"));
  change_config({{"compress_rates", nullptr}, {"mlp_layer_types", {"hash_moe", "hash_moe", "moe", "hash_moe", "moe", "moe", "moe"}}});
  EXPECT_THAT(said_by_both(), HasSubstr("num_hash_layers (or mlp_layer_types)"));
}

TEST_F(StatedConfig, AFolderMadeBeforeRunsWithANotice) {
  change_xml("<config>[^]*?</config>", "");
  EXPECT_THAT(said_by_both(),
              AllOf(HasSubstr(folder_.string()), HasSubstr("before dsv4 0.2.0"), HasSubstr("convert the checkpoint again")));
}

TEST_F(StatedConfig, AFieldThatTheIrDoesNotStateIsANotice) {
  change_xml("<index_topk [^>]*>", "");
  EXPECT_THAT(said_by_both(), AllOf(HasSubstr("does not state"), HasSubstr("index_topk")));
  change_config({{"sliding_window", 64}});
  EXPECT_THAT(said_by_both(), HasSubstr("config.json: sliding_window is 64"));
}

TEST_F(StatedConfig, AFieldThatThisVersionDoesNotKnowIsRefused) {
  change_xml("<index_topk ", "<index_temperature value=\"2\" /><index_topk ");
  EXPECT_THAT(said_by_both(), AllOf(HasSubstr("index_temperature = 2"), HasSubstr("does not know")));
}

TEST_F(StatedConfig, AnIrThatStatesNonsenseIsRefused) {
  change_xml("<config>[^]*?</config>", "<config value=\"all of it\" />");
  EXPECT_THAT(said_by_both(), HasSubstr("dsv4/config"));
}

class EndTokens : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    folder_ = convert_golden("toy", directory_->path(), true, 1);
  }
  static void TearDownTestSuite() { delete directory_; }

  void SetUp() override { set_in_config(folder_, "eos_token_id", 7); }

  std::vector<int64_t> ends() {
    const Engine engine(folder_, last_position(Program::kCpu));
    std::vector<int64_t> ids;
    for (int64_t id = 0; id < engine.vocab_size(); ++id) {
      if (engine.is_end(id)) ids.push_back(id);
    }
    return ids;
  }

  std::vector<int64_t> ends(const std::string& generation_config) {
    write_file(folder_ / "generation_config.json", generation_config);
    return ends();
  }

  static inline TemporaryDirectory* directory_ = nullptr;
  static inline fs::path folder_;
};

using Ids = std::vector<int64_t>;

TEST_F(EndTokens, AreThoseOfTheGenerationConfig) {
  EXPECT_EQ(ends(R"({"eos_token_id": 14})"), Ids{14});
  EXPECT_EQ(ends(R"({"eos_token_id": [1, 14]})"), (Ids{1, 14}));
  EXPECT_EQ(ends(R"({"eos_token_id": [511], "do_sample": true})"), Ids{511});
}

TEST_F(EndTokens, AreThoseOfTheConfigWhereTheGenerationConfigStatesNone) {
  EXPECT_EQ(ends("{}"), Ids{7});
  EXPECT_EQ(ends(R"({"eos_token_id": null})"), Ids{7});
  EXPECT_EQ(ends(R"({"eos_token_id": []})"), Ids{7});
  fs::remove(folder_ / "generation_config.json");
  EXPECT_EQ(ends(), Ids{7});
  set_in_config(folder_, "eos_token_id", Ids{8, 9});
  EXPECT_EQ(ends(), (Ids{8, 9}));
}

TEST_F(EndTokens, ThatAreNoIdsAreRefused) {
  for (const char* value : {"512", "-1", "1.5", "\"1\"", "true", "{}", "[1, 512]", "[1, [2]]", "[null]"}) {
    write_file(folder_ / "generation_config.json", concat("{\"eos_token_id\": ", value, "}"));
    EXPECT_THAT(error_of([&] { ends(); }), AllOf(HasSubstr((folder_ / "generation_config.json").string()), HasSubstr("eos_token_id")))
        << value;
  }
  for (const char* text : {"", "{", "[]", "1"}) {
    write_file(folder_ / "generation_config.json", text);
    EXPECT_THAT(error_of([&] { ends(); }), HasSubstr((folder_ / "generation_config.json").string())) << text;
  }
}

}  // namespace
}  // namespace dsv4
