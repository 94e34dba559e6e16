// The small files of a model folder, and what damaged ones of a checkpoint lead to.
#include "convert/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace testing_support;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path kToy = fs::path(DSV4_TEST_DATA) / "goldens/toy";

class Folder : public testing::Test {
 protected:
  Folder() {
    fs::copy(kToy, checkpoint());
    fs::create_directory(folder());
  }

  fs::path checkpoint() const { return directory_.path() / "checkpoint"; }
  fs::path folder() const { return directory_.path() / "model"; }

  void write(CompressionOptions compression = {}, int64_t layers = -1, std::function<void(const std::string&)> notice = {}) {
    ConvertOptions options;
    options.notice = std::move(notice);
    options.checkpoint = checkpoint();
    options.compression = compression;
    options.layers = layers;
    options.tokenizer = false;
    const Checkpoint open = Checkpoint::open(checkpoint());
    fs::remove_all(folder());
    fs::create_directory(folder());
    for (const FolderFile& file : folder_files(options, SmallFiles(open), open.config(), ChatRelease::kOriginal))
      write_file(folder() / file.name, file.bytes);
  }
  Json written(const char* name) const { return Json::parse(read_file(folder() / name)); }

  TemporaryDirectory directory_;
};

TEST_F(Folder, ConfigIsTheCheckpointsWithAutoMapAndRopeParameters) {
  write();
  Json config = written("config.json");
  EXPECT_EQ(config.at("auto_map"), Json::parse(R"({"AutoConfig": "configuration_deepseek_v4.DeepseekV4Config"})"));
  EXPECT_EQ(config.erase("auto_map") + config.erase("rope_parameters"), 2u);
  Json given = Json::parse(read_file(checkpoint() / "config.json"));
  EXPECT_EQ(given.erase("quantization_config"), 1u) << "of other weights";
  EXPECT_EQ(config.dump(), given.dump()) << "the other fields and their order stay";
  EXPECT_THAT(read_file(folder() / "configuration_deepseek_v4.py"), HasSubstr("class DeepseekV4Config(PretrainedConfig)"));
}

// What a release of transformers that knows the architecture makes of the same config.
TEST_F(Folder, RopeParametersAreThoseOfTransformers) {
  const auto check = [&](const Json& changes, const char* expected) {
    Json config = Json::parse(read_file(kToy / "config.json"));
    config.update(changes);
    write_file(checkpoint() / "config.json", config.dump());
    write();
    EXPECT_EQ(written("config.json").at("rope_parameters"), Json::parse(expected));
    EXPECT_FALSE(written("config.json").contains("rope_scaling"));
    EXPECT_EQ(written("config.json").value("rope_theta", 0), 10000);
    const Config before = parse_config(config.dump(), "before"), after = read_config(folder());
    EXPECT_EQ(before.qk_rope_head_dim, after.qk_rope_head_dim);
    EXPECT_EQ(before.compress_rope_theta, after.compress_rope_theta);
    EXPECT_EQ(before.yarn.has_value(), after.yarn.has_value());
  };
  check(Json::object(), R"({"main": {"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.25},
                "compress": {"rope_type": "default", "rope_theta": 160000, "partial_rotary_factor": 0.25}})");
  const char* yarn = R"({"main": {"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.25},
                         "compress": {"rope_type": "yarn", "rope_theta": 40000.5, "partial_rotary_factor": 0.25, "factor": 16,
                                      "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1.5, "attention_factor": 1.0}})";
  check({{"compress_rope_theta", 40000.5},
         {"rope_scaling",
          {{"type", "yarn"}, {"factor", 16}, {"original_max_position_embeddings", 4096}, {"beta_fast", 32}, {"beta_slow", 1.5}}}},
        yarn);
  check({{"compress_rope_theta", 40000.5}, {"rope_scaling", nullptr}, {"rope_parameters", Json::parse(yarn)}}, yarn);
}

TEST_F(Folder, EveryRotaryFactorGivesItsDimensionsBack) {
  Json config = Json::parse(read_file(kToy / "config.json"));
  Config parsed = parse_config(config.dump(), "toy");
  const SmallFiles files(Checkpoint::open(checkpoint()));
  ConvertOptions options;
  options.tokenizer = false;
  for (parsed.head_dim = 2; parsed.head_dim <= 512; parsed.head_dim += 7) {
    for (parsed.qk_rope_head_dim = 2; parsed.qk_rope_head_dim <= parsed.head_dim; parsed.qk_rope_head_dim += 2) {
      const std::string text = folder_files(options, files, parsed, ChatRelease::kOriginal).front().bytes;
      const double factor = Json::parse(text).at("rope_parameters").at("main").at("partial_rotary_factor").get<double>();
      ASSERT_EQ(static_cast<int64_t>(static_cast<double>(parsed.head_dim) * factor), parsed.qk_rope_head_dim) << parsed.head_dim;
    }
  }
}

TEST_F(Folder, ConfigOfTheFirstLayers) {
  write({}, 2);
  EXPECT_EQ(written("config.json").at("num_hidden_layers"), 2);
  EXPECT_EQ(written("config.json").at("compress_ratios"), Json({0, 0}));
}

TEST_F(Folder, GenerationConfigIsCarriedOnOrMade) {
  write();
  EXPECT_EQ(written("generation_config.json"),
            Json::parse(R"({"_from_model_config": true, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "do_sample": true,
                            "temperature": 1.0, "top_p": 1.0})"));
  write_file(checkpoint() / "generation_config.json", R"({"temperature": 0.25, "eos_token_id": [1, 7]})");
  write();
  EXPECT_EQ(written("generation_config.json"), Json::parse(R"({"temperature": 0.25, "eos_token_id": [1, 7]})"));
}

TEST_F(Folder, SpecialTokensOfTheTokenizerConfigBecomeText) {
  write_file(checkpoint() / "tokenizer_config.json",
             R"({"add_bos_token": false, "bos_token": {"__type": "AddedToken", "content": "<｜begin▁of▁sentence｜>", "lstrip": false},
                 "eos_token": "</s>", "unk_token": null, "added_tokens_decoder": {"0": {"content": "<a>", "special": true}},
                 "pad_token": "<pad>", "padding_side": "left", "tokenizer_class": "LlamaTokenizerFast"})");
  write();
  EXPECT_EQ(written("tokenizer_config.json").dump(),
            Json::parse(R"({"add_bos_token": false, "bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "</s>", "unk_token": null,
                            "added_tokens_decoder": {"0": {"content": "<a>", "special": true}}, "pad_token": "<pad>",
                            "padding_side": "left", "tokenizer_class": "LlamaTokenizerFast"})")
                .dump());
}

TEST_F(Folder, TheTokenizerPadsOnTheLeftAndNamesAClassThatEveryReleaseHas) {
  const auto of = [&](const char* config) {
    write_file(checkpoint() / "tokenizer_config.json", config);
    write();
    return written("tokenizer_config.json");
  };
  const Json bare = Json::parse(R"({"padding_side": "left", "tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_EQ(of("{}"), bare);
  EXPECT_EQ(of(R"({"padding_side": "right", "tokenizer_class": "TokenizersBackend"})"), bare);
  EXPECT_EQ(of(R"({"eos_token": {"content": "</s>"}, "pad_token": null})").at("pad_token"), "</s>") << "a batch needs one";
}

TEST_F(Folder, ATemplateOfTheCheckpointIsKept) {
  write();
  EXPECT_THAT(read_file(folder() / "chat_template.jinja"), HasSubstr("<｜DSML｜invoke name="));
  write_file(checkpoint() / "chat_template.jinja", "{{ messages }}");
  write();
  EXPECT_EQ(read_file(folder() / "chat_template.jinja"), "{{ messages }}");
}

TEST_F(Folder, ATemplateInsideTheTokenizerConfigIsKeptThere) {
  write_file(checkpoint() / "tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  write();
  EXPECT_FALSE(fs::exists(folder() / "chat_template.jinja")) << "the file would come before it";
  EXPECT_EQ(written("tokenizer_config.json").at("chat_template"), "{{ messages }}");
}

TEST_F(Folder, OnlyKnownFieldsAreCarriedOn) {
  const std::pair<const char*, const char*> files[] = {
      {"config.json",
       R"({"auto_map": {"AutoModel": "o/n--modeling.Model"}, "custom_pipelines": {"p": {"impl": "p.P"}}, "_name_or_path": "/home/author"})"},
      {"generation_config.json", R"({"temperature": 0.5, "eos_token_id": 1, "custom_generate": "o/n", "trust_remote_code": true})"},
      {"tokenizer_config.json",
       R"({"auto_map": {"AutoTokenizer": ["o/n--tokenization.T", null]}, "eos_token": "</s>", "name_or_path": "/home/author"})"},
      {"special_tokens_map.json", R"({"auto_map": {}, "eos_token": "</s>"})"},
  };
  for (const auto& [name, text] : files) {
    Json json = name == std::string("config.json") ? Json::parse(read_file(kToy / name)) : Json::object();
    json.update(Json::parse(text));
    write_file(checkpoint() / name, json.dump());
  }
  std::vector<std::string> notices;
  write({}, -1, [&](const std::string& line) { notices.push_back(line); });
  EXPECT_EQ(written("config.json").at("auto_map"), Json::parse(R"({"AutoConfig": "configuration_deepseek_v4.DeepseekV4Config"})"));
  Json config = written("config.json"), expected = Json::parse(read_file(kToy / "config.json"));
  for (const char* ours : {"auto_map", "rope_parameters"}) config.erase(ours);
  for (const char* not_of_these_weights : {"quantization_config", "rope_scaling"}) expected.erase(not_of_these_weights);
  EXPECT_EQ(config.dump(), expected.dump()) << "all others, in their order";
  EXPECT_EQ(written("generation_config.json"), Json::parse(R"({"temperature": 0.5, "eos_token_id": 1})"));
  EXPECT_EQ(written("tokenizer_config.json").count("auto_map") + written("tokenizer_config.json").count("name_or_path"), 0u);
  EXPECT_EQ(written("tokenizer_config.json").at("eos_token"), "</s>");
  EXPECT_EQ(written("special_tokens_map.json"), Json::parse(R"({"eos_token": "</s>"})"));
  EXPECT_THAT(notices, ElementsAre(HasSubstr("config.json: 3 field(s) that are not known are not carried on, first \"auto_map\""),
                                   HasSubstr("generation_config.json: 2"), HasSubstr("tokenizer_config.json: 2"),
                                   HasSubstr("special_tokens_map.json: 1")));
}

TEST_F(Folder, TokenizerFilesAndLicenceAreCarriedOnUnchanged) {
  const std::vector<std::string> names = {"LICENSE", "special_tokens_map.json", "tokenizer.json"};
  for (const std::string& name : names) write_file(checkpoint() / name, "{\"bos_token\":   \"" + name + "\"}");
  write();
  for (const std::string& name : names) EXPECT_EQ(read_file(folder() / name), "{\"bos_token\":   \"" + name + "\"}");
}

TEST_F(Folder, OpenVinoConfigSaysHowTheWeightsWereMade) {
  write({.format = WeightFormat::kFp16});
  EXPECT_EQ(written("openvino_config.json").at("dtype"), "fp16");
  EXPECT_TRUE(written("openvino_config.json").at("quantization_config").is_null());

  write({.format = WeightFormat::kInt4,
         .symmetric = true,
         .group_size = 64,
         .ratio = 0.8,
         .fallback = GroupSizeFallback::kAdjust,
         .backup = BackupPrecision::kInt8Sym});
  const Json int4 = written("openvino_config.json").at("quantization_config");
  EXPECT_EQ(int4,
            Json::parse(R"({"bits": 4, "sym": true, "group_size": 64, "ratio": 0.8, "all_layers": null, "backup_precision": "int8_sym",
      "group_size_fallback": "adjust", "dq_group_size": 0, "quant_method": "default", "dtype": "int4", "dataset": null})"));

  write({.format = WeightFormat::kInt8});
  const Json int8 = written("openvino_config.json").at("quantization_config");
  EXPECT_EQ(int8.at("bits"), 8);
  EXPECT_EQ(int8.at("group_size"), -1);
  EXPECT_TRUE(int8.at("backup_precision").is_null()) << "optimum-intel refuses one for 8 bits";
  EXPECT_EQ(int8.at("ratio"), 1.0);
}

TEST_F(Folder, DamagedFilesOfTheCheckpointAreNamed) {
  for (const char* name : {"generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"}) {
    const fs::path file = checkpoint() / name;
    for (const std::string& damaged : {std::string("{\"a\": "), std::string(), std::string("[1]"), std::string("{\"a\": 1e999}"),
                                       std::string("{\"a\": ") + std::string(100000, '['), std::string("\xff\xfe")}) {
      write_file(file, damaged);
      EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), Not(IsEmpty()))) << name << ": " << damaged.substr(0, 20);
    }
    write_file(file, "{}");
    fs::resize_file(file, (32u << 20) + 1);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("33554433 bytes")));
    fs::remove(file);
  }
}

TEST_F(Folder, TextThatIsNoUtf8IsRefused) {
  write_file(checkpoint() / "generation_config.json", "{\"note\": \"caf\xe9\"}");
  EXPECT_THAT(error_of([&] { write(); }), HasSubstr("generation_config.json"));
}

TEST_F(Folder, WhatIsNoFileIsNamed) {
  const fs::path outside = directory_.path() / "outside";
  for (const char* name :
       {"generation_config.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja", "LICENSE", "LICENSE.md"}) {
    SCOPED_TRACE(name);
    const fs::path file = checkpoint() / name;
    fs::create_directory(file);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("is a directory")));
    fs::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("not a regular file")));
    fs::remove(file);
    fs::create_symlink("/dev/zero", file);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("not a regular file")));
    fs::remove(file);
    fs::create_symlink(outside, file);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("a link to a file that is missing")));
    write_file(outside, "");
    fs::resize_file(outside, 10ull << 30);  // takes no room
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("is a link out of its directory, to " + outside.string())));
    fs::remove(file);
    fs::rename(outside, file);
    EXPECT_THAT(error_of([&] { write(); }), AllOf(HasSubstr(name), HasSubstr("at most")));
    fs::remove(file);
  }
}

TEST_F(Folder, WithoutEndTokensNoneAreMadeUp) {
  for (const char* ids : {"null", "[]"}) {
    Json config = Json::parse(read_file(kToy / "config.json"));
    config["eos_token_id"] = Json::parse(ids);
    write_file(checkpoint() / "config.json", config.dump());
    write();
    EXPECT_FALSE(written("generation_config.json").contains("eos_token_id")) << ids;
    EXPECT_FALSE(written("generation_config.json").contains("pad_token_id")) << ids;
  }
}

TEST(TransformersVersion, IsTheTextOfItsField) {
  EXPECT_EQ(transformers_version(R"({"transformers_version": "4.46.3"})"), "4.46.3");
  EXPECT_EQ(transformers_version(R"({"transformers_version": 4})"), "");
  EXPECT_EQ(transformers_version("{}"), "");
}

}  // namespace
}  // namespace dsv4
