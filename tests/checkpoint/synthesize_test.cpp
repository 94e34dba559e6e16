// Synthetic checkpoints: reproducible to the byte, well-formed for a parser of our own making here, and random everywhere.
#include "checkpoint/synthesize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/checkpoint.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kData = DSV4_TEST_DATA;

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << file;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A fresh directory for one test, gone after it.
class Synthesize : public testing::Test {
 protected:
  Synthesize() {
    std::string name = testing::TempDir() + "/dsv4_synth_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~Synthesize() override { fs::remove_all(root_); }

  fs::path write_config(const json& config) const {
    std::ofstream(root_ / "given.json") << config;
    return root_ / "given.json";
  }

  std::vector<std::string> names_in(const fs::path& directory) const {
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator(directory)) names.push_back(item.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string error_of(const SynthesizeOptions& options) const {
    try {
      synthesize(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "done";
  }

  fs::path root_;
};

struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
  uint64_t begin = 0;  ///< in its file, after the header

  bool operator==(const Tensor& other) const { return dtype == other.dtype && shape == other.shape && bytes == other.bytes; }
};

using Tensors = std::map<std::string, Tensor>;

/// Adds one file's tensors and checks its form: padded header, data without a hole up to the end.
void add_file(const fs::path& path, Tensors& tensors) {
  const std::map<std::string, int64_t> sizes = {{"F8_E4M3", 1}, {"F8_E8M0", 1}, {"I8", 1}, {"BF16", 2}, {"F32", 4}, {"I64", 8}};
  const std::string file = bytes_of(path);
  ASSERT_GE(file.size(), 8u);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(file[static_cast<size_t>(i)]);
  ASSERT_EQ(length % 8, 0u);
  ASSERT_LE(8 + length, file.size());
  const json header = json::parse(file.substr(8, length));
  EXPECT_EQ(header.at("__metadata__"), json({{"format", "pt"}}));
  std::map<uint64_t, uint64_t> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const uint64_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    Tensor tensor{entry.at("dtype"), entry.at("shape").get<std::vector<int64_t>>(), file.substr(8 + length + begin, end - begin), begin};
    const int64_t size = sizes.at(tensor.dtype);
    int64_t bytes = size;
    for (const int64_t dim : tensor.shape) bytes *= dim;
    EXPECT_EQ(static_cast<uint64_t>(bytes), end - begin) << name;
    EXPECT_TRUE(ranges.emplace(begin, end).second) << name;
    EXPECT_TRUE(tensors.emplace(name, std::move(tensor)).second) << name;
  }
  uint64_t at = 0;
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(begin, at);
    at = end;
  }
  EXPECT_EQ(8 + length + at, file.size());
}

/// All tensors of a checkpoint; the index must name the file of each.
Tensors load(const fs::path& directory) {
  const json index = json::parse(bytes_of(directory / "model.safetensors.index.json"));
  std::set<std::string> files;
  for (const auto& [name, file] : index.at("weight_map").items()) files.insert(file);
  Tensors tensors;
  uint64_t total = 0;
  for (const std::string& file : files) {
    Tensors of_file;
    add_file(directory / file, of_file);
    for (auto& [name, tensor] : of_file) {
      EXPECT_EQ(index.at("weight_map").value(name, ""), file) << name;
      total += tensor.bytes.size();
      EXPECT_TRUE(tensors.emplace(name, std::move(tensor)).second) << name;
    }
  }
  EXPECT_EQ(index.at("weight_map").size(), tensors.size());
  EXPECT_EQ(index.at("metadata").at("total_size"), total);
  return tensors;
}

float f32_at(const std::string& bytes, size_t i) {
  float value = 0;
  std::memcpy(&value, bytes.data() + 4 * i, 4);
  return value;
}

float bf16_at(const std::string& bytes, size_t i) {
  const uint32_t bits = static_cast<uint32_t>(static_cast<unsigned char>(bytes[2 * i])) << 16 |
                        static_cast<uint32_t>(static_cast<unsigned char>(bytes[2 * i + 1])) << 24;
  float value = 0;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// The tensor's values by the definitions of the formats.
std::vector<double> values_of(const Tensors& tensors, const std::string& name) {
  const Tensor& tensor = tensors.at(name);
  std::vector<double> values;
  if (tensor.dtype == "F32") {
    for (size_t i = 0; i < tensor.bytes.size() / 4; ++i) values.push_back(f32_at(tensor.bytes, i));
  } else if (tensor.dtype == "BF16") {
    for (size_t i = 0; i < tensor.bytes.size() / 2; ++i) values.push_back(bf16_at(tensor.bytes, i));
  } else {
    const Tensor& scale = tensors.at(name.substr(0, name.size() - 6) + "scale");
    const auto rows = static_cast<size_t>(tensor.shape[0]), row_bytes = static_cast<size_t>(tensor.shape[1]);
    const auto scale_cols = static_cast<size_t>(scale.shape[1]);
    const auto power = [&](size_t row, size_t col) {
      return std::ldexp(1.0, static_cast<unsigned char>(scale.bytes[row * scale_cols + col]) - 127);
    };
    constexpr double kFp4[] = {0, .5, 1, 1.5, 2, 3, 4, 6};
    for (size_t row = 0; row < rows; ++row) {
      for (size_t at = 0; at < row_bytes; ++at) {
        const auto byte = static_cast<unsigned char>(tensor.bytes[row * row_bytes + at]);
        if (tensor.dtype == "I8") {
          for (const int nibble : {byte & 15, byte >> 4}) values.push_back((nibble & 8 ? -1 : 1) * kFp4[nibble & 7] * power(row, at / 16));
        } else {
          const int exponent = byte >> 3 & 15, mantissa = byte & 7;
          const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
          values.push_back((byte & 128 ? -1 : 1) * magnitude * power(row / 128, at / 128));
        }
      }
    }
  }
  return values;
}

struct Moments {
  double mean = 0, deviation = 0, low = 0, high = 0;
};

Moments moments(const std::vector<double>& values) {
  Moments m;
  m.low = m.high = values.at(0);
  for (const double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.low = std::min(m.low, v);
    m.high = std::max(m.high, v);
  }
  double sum = 0;
  for (const double v : values) sum += (v - m.mean) * (v - m.mean);
  m.deviation = std::sqrt(sum / static_cast<double>(values.size()));
  return m;
}

json config_of(const fs::path& directory) { return json::parse(bytes_of(directory / "config.json")); }

TEST_F(Synthesize, PresetsAreTheOfficialConfigs) {
  json flash = json::parse(bytes_of(kData / "configs/deepseek-v4-flash.config.json"));
  flash["expert_dtype"] = "fp4";
  EXPECT_EQ(json::parse(preset_config("v4-flash")), flash);
  EXPECT_EQ(json::parse(preset_config("v4-pro")), json::parse(bytes_of(kData / "configs/deepseek-v4-pro.config.json")));
  EXPECT_EQ(json::parse(preset_config("toy")), json::parse(bytes_of(kData / "goldens/toy/config.json")));
  // What the later release adds: three draft stages.
  flash.merge_patch(json::parse(R"({"dspark_block_size": 5, "dspark_noise_token_id": 128799, "dspark_target_layer_ids": [40, 41, 42],
                                    "dspark_markov_rank": 256})"));
  for (int stage = 1; stage < 3; ++stage) flash["compress_ratios"].push_back(0);
  EXPECT_EQ(json::parse(preset_config("v4-flash-0731")), flash);
  EXPECT_THROW(preset_config("v5"), Error);
}

TEST_F(Synthesize, SameSeedGivesTheSameBytes) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a", .seed = 7});
  synthesize({.preset_or_config = "toy", .output = root_ / "b", .seed = 7});
  EXPECT_THAT(names_in(root_ / "a"), testing::ElementsAre("config.json", "generation_config.json", "model.safetensors",
                                                          "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"));
  for (const std::string& name : names_in(root_ / "a")) EXPECT_EQ(bytes_of(root_ / "a" / name), bytes_of(root_ / "b" / name)) << name;
}

TEST_F(Synthesize, AnotherSeedGivesOtherValuesInEveryTensor) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a", .seed = 0});
  synthesize({.preset_or_config = "toy", .output = root_ / "b", .seed = 1});
  const Tensors a = load(root_ / "a"), b = load(root_ / "b");
  for (const auto& [name, tensor] : a) {
    if (tensor.bytes.size() > 8) {
      EXPECT_NE(tensor.bytes, b.at(name).bytes) << name;
    }
  }
}

// FNV-1a of what every machine must write for `dsv4 synth toy OUT`: benchmarks and bug reports name a seed instead of shipping files.
TEST_F(Synthesize, BytesOfTheToyAreFrozen) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a"});
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : bytes_of(root_ / "a/model.safetensors")) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  EXPECT_EQ(hash, 4538175849921999901u);
}

TEST_F(Synthesize, ShardSizeChangesFilesAndNoTensor) {
  constexpr uint64_t kShard = 300000;
  synthesize({.preset_or_config = "toy", .output = root_ / "one"});
  synthesize({.preset_or_config = "toy", .output = root_ / "many", .shard_bytes = kShard});
  const Tensors one = load(root_ / "one"), many = load(root_ / "many");
  EXPECT_EQ(one, many);
  const std::vector<std::string> names = names_in(root_ / "many");
  const auto shards =
      static_cast<size_t>(std::count_if(names.begin(), names.end(), [](const std::string& n) { return n.rfind("model-", 0) == 0; }));
  EXPECT_GE(shards, 5u);
  for (size_t i = 1; i <= shards; ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i, shards);
    ASSERT_TRUE(fs::exists(root_ / "many" / name)) << name;
    Tensors tensors;
    add_file(root_ / "many" / name, tensors);
    uint64_t data = 0;
    for (const auto& [tensor_name, tensor] : tensors) data += tensor.bytes.size();
    EXPECT_LE(data, kShard);
  }
}

TEST_F(Synthesize, ListsWhatTheGoldenOfTheSameConfigLists) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a"});
  const Tensors made = load(root_ / "a"), golden = load(kData / "goldens/toy");
  for (const auto& [name, tensor] : golden) {
    ASSERT_EQ(made.count(name), 1u) << name;
    EXPECT_EQ(made.at(name).dtype, tensor.dtype) << name;
    EXPECT_EQ(made.at(name).shape, tensor.shape) << name;
  }
  EXPECT_EQ(made.size(), golden.size());
}

TEST_F(Synthesize, EveryElementIsAlignedInItsFile) {
  synthesize({.preset_or_config = (kData / "goldens/hash/config.json").string(), .output = root_ / "a", .shard_bytes = 700000});
  const std::map<std::string, uint64_t> sizes = {{"BF16", 2}, {"F32", 4}, {"I64", 8}};
  for (const auto& [name, tensor] : load(root_ / "a")) {
    if (sizes.count(tensor.dtype)) {
      EXPECT_EQ(tensor.begin % sizes.at(tensor.dtype), 0u) << name;
    }
  }
}

TEST_F(Synthesize, OpensAsACheckpointWithoutNotices) {
  for (const char* source : {"goldens/toy/config.json", "goldens/hash/config.json"}) {
    const fs::path output = root_ / fs::path(source).parent_path().filename();
    synthesize({.preset_or_config = (kData / source).string(), .output = output, .shard_bytes = 400000});
    const Checkpoint checkpoint = Checkpoint::open(output);
    EXPECT_THAT(checkpoint.notices(), testing::IsEmpty());
    const Tensors tensors = load(output);
    for (const char* name : {"layers.2.attn.wq_a.weight", "layers.1.ffn.experts.3.w2.weight", "embed.weight", "layers.0.hc_ffn_fn"}) {
      const std::vector<float> read = checkpoint.read(name);
      EXPECT_EQ(std::vector<double>(read.begin(), read.end()), values_of(tensors, name)) << name;
    }
  }
}

TEST_F(Synthesize, ToyHasTheParametersOfTheProofOfConcept) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a"});
  double parameters = 0;
  for (const auto& [name, tensor] : load(root_ / "a")) {
    double count = tensor.dtype == "I8" ? 2 : 1;  // scales count: they are numbers of the model too
    for (const int64_t dim : tensor.shape) count *= static_cast<double>(dim);
    parameters += count;
  }
  EXPECT_NEAR(parameters, 1.34e6, 0.005e6);
}

TEST_F(Synthesize, NoParameterIsConstant) {
  for (const char* source : {"goldens/toy/config.json", "goldens/hash/config.json", "../../models/mini/config.json"}) {
    const fs::path output = root_ / fs::path(source).parent_path().filename();
    synthesize({.preset_or_config = (kData / source).string(), .output = output});
    for (const auto& [name, tensor] : load(output)) {
      const std::map<std::string, size_t> sizes = {{"BF16", 2}, {"F32", 4}, {"I64", 8}};
      const size_t size = sizes.count(tensor.dtype) ? sizes.at(tensor.dtype) : 1;
      std::set<std::string> values;
      for (size_t i = 0; i < tensor.bytes.size(); i += size) values.insert(tensor.bytes.substr(i, size));
      EXPECT_GE(values.size(), tensor.bytes.size() > size ? 2u : 1u) << name;
    }
  }
}

TEST_F(Synthesize, ValuesHaveTheSizeThatKeepsAModelSane) {
  json config = json::parse(preset_config("toy"));
  config["hidden_size"] = 512;
  config["moe_intermediate_size"] = 256;
  config["num_attention_heads"] = 16;
  config["q_lora_rank"] = 384;
  synthesize({.preset_or_config = write_config(config).string(), .output = root_ / "a"});
  const Tensors tensors = load(root_ / "a");
  double fp8_square = 0, fp8_count = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name.size() > 6 && name.substr(name.size() - 6) == ".scale" && tensor.dtype != "F32") continue;
    if (tensor.dtype == "I64") continue;
    const Moments m = moments(values_of(tensors, name));
    ASSERT_TRUE(std::isfinite(m.deviation)) << name;
    const double inputs = static_cast<double>(tensor.shape.back()) * (tensor.dtype == "I8" ? 2.0 : 1.0);
    if (tensor.dtype == "F8_E4M3") {
      // Few blocks, each of one of two powers of two: sharp only over all of them.
      EXPECT_GT(m.deviation * std::sqrt(inputs), 0.45) << name;
      EXPECT_LT(m.deviation * std::sqrt(inputs), 2.1) << name;
      fp8_square += m.deviation * m.deviation * inputs;
      fp8_count += 1;
    } else if (tensor.dtype == "I8") {
      EXPECT_NEAR(m.deviation * std::sqrt(inputs), 1.0, 0.1) << name;
    } else if (name == "embed.weight") {
      EXPECT_NEAR(m.deviation, 1.0, 0.02);
    } else if (name == "head.weight") {
      EXPECT_NEAR(m.deviation * std::sqrt(inputs), 2.5, 0.05);
    } else if (name.find("norm.weight") != std::string::npos) {
      EXPECT_GE(m.low, 0.75) << name;
      EXPECT_LE(m.high, 1.25) << name;
      EXPECT_NEAR(m.deviation, 0.25 / std::sqrt(3.0), 0.06) << name;
    } else if (name.find("_fn") != std::string::npos || name.find(".weight") != std::string::npos) {
      EXPECT_NEAR(m.deviation * std::sqrt(inputs), 1.0, 0.1) << name;
    } else if (name.find("_scale") != std::string::npos) {
      EXPECT_GE(m.low, 0.5) << name;
      EXPECT_LE(m.high, 1.0) << name;
    } else if (name.find("attn_sink") == std::string::npos) {
      const double bound = name.find("_base") != std::string::npos ? 1.0 : name.find(".ape") != std::string::npos ? 0.5 : 0.1;
      EXPECT_LE(std::max(-m.low, m.high), bound) << name;
      EXPECT_GT(m.deviation, bound * 0.2) << name;
    }
  }
  EXPECT_NEAR(fp8_square / fp8_count, 1.0, 0.3);
}

TEST_F(Synthesize, QuantisedCodesAndScalesAreOfAllKinds) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a"});
  const Tensors tensors = load(root_ / "a");
  std::set<int> fp8, nibbles, fp8_scales, fp4_scales;
  for (const auto& [name, tensor] : tensors) {
    for (const char c : tensor.bytes) {
      const auto byte = static_cast<unsigned char>(c);
      if (tensor.dtype == "F8_E4M3") fp8.insert(byte);
      if (tensor.dtype == "I8") nibbles.insert({byte & 15, byte >> 4});
      if (tensor.dtype == "F8_E8M0") (name.find(".experts.") != std::string::npos ? fp4_scales : fp8_scales).insert(byte);
    }
  }
  EXPECT_EQ(nibbles.size(), 16u);
  EXPECT_EQ(fp8.count(0x7F) + fp8.count(0xFF), 0u);           // no NaN
  EXPECT_TRUE(fp8.count(0x7E) == 1 && fp8.count(0xFE) == 1);  // +-448
  EXPECT_TRUE(fp8.count(0x01) == 1 && fp8.count(0x81) == 1);  // the smallest subnormals
  EXPECT_GE(fp8.size(), 240u);
  EXPECT_GE(fp8_scales.size(), 5u);
  EXPECT_GE(fp4_scales.size(), 4u);
}

TEST_F(Synthesize, HashTablesHoldDistinctExperts) {
  synthesize({.preset_or_config = (kData / "goldens/hash/config.json").string(), .output = root_ / "a"});
  const Tensors tensors = load(root_ / "a");
  const Tensor& table = tensors.at("layers.0.ffn.gate.tid2eid");
  ASSERT_EQ(table.shape, (std::vector<int64_t>{256, 2}));
  std::map<int64_t, int> uses;
  for (size_t row = 0; row < 256; ++row) {
    int64_t ids[2];
    std::memcpy(ids, table.bytes.data() + 16 * row, 16);
    EXPECT_NE(ids[0], ids[1]) << row;
    for (const int64_t id : ids) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, 8);
      ++uses[id];
    }
  }
  for (int64_t id = 0; id < 8; ++id) EXPECT_GT(uses[id], 30) << id;
}

TEST_F(Synthesize, MtpBlockIsWrittenWhenTheConfigHasOne) {
  const fs::path config = kData / "../../models/mini/config.json";
  synthesize({.preset_or_config = config.string(), .output = root_ / "a"});
  EXPECT_EQ(load(root_ / "a").count("mtp.0.e_proj.weight"), 1u);
  EXPECT_EQ(config_of(root_ / "a"), json::parse(bytes_of(config)));
}

TEST_F(Synthesize, DraftStagesAreThoseOfTheGolden) {
  const fs::path golden = kData / "goldens/dspark";
  synthesize({.preset_or_config = (golden / "config.json").string(), .output = root_ / "a"});
  const Tensors made = load(root_ / "a");
  const json listed = json::parse(bytes_of(golden / "tensors.json"));
  EXPECT_EQ(made.size(), listed.size());
  for (const auto& [name, entry] : listed.items()) {
    ASSERT_EQ(made.count(name), 1u) << name;
    EXPECT_EQ(json({made.at(name).dtype, made.at(name).shape}), entry) << name;
  }
  EXPECT_THAT(Checkpoint::open(root_ / "a").notices(),
              testing::ElementsAre("DSpark draft stages, 241 tensors, not converted: they are only for speculative decoding"));
  synthesize({.preset_or_config = (golden / "config.json").string(), .output = root_ / "cut", .layers = 3});
  EXPECT_EQ(load(root_ / "cut").count("mtp.0.main_proj.weight"), 0u);
  EXPECT_THAT(Checkpoint::open(root_ / "cut").notices(), testing::IsEmpty());
}

TEST_F(Synthesize, SparseLeavesWeightsAsHolesAndWritesTheRestAsEver) {
  for (const char* source : {"goldens/hash/config.json", "../../models/mini/config.json"}) {
    SCOPED_TRACE(source);
    const fs::path output = root_ / fs::path(source).parent_path().filename();
    const std::string config = (kData / source).string();
    synthesize({.preset_or_config = config, .output = output / "full", .shard_bytes = 700000});
    synthesize({.preset_or_config = config, .output = output / "sparse", .sparse = true, .shard_bytes = 700000});
    const Tensors full = load(output / "full"), sparse = load(output / "sparse");
    ASSERT_EQ(full.size(), sparse.size());
    for (const auto& [name, tensor] : full) {
      const bool expert = name.find(".experts.") != std::string::npos, scale = name.ends_with(".scale") && tensor.dtype == "F8_E8M0";
      const bool weight = tensor.dtype == "F8_E4M3" || tensor.dtype == "I8" || (tensor.dtype == "BF16" && tensor.shape.size() == 2);
      if (weight || (expert && scale)) {
        EXPECT_EQ(sparse.at(name).bytes, std::string(tensor.bytes.size(), '\0')) << name;
      } else {
        EXPECT_EQ(sparse.at(name), tensor) << name;
      }
    }
    EXPECT_THAT(names_in(output / "sparse"), testing::ElementsAreArray(names_in(output / "full")));
    Checkpoint::open(output / "sparse");
  }
}

TEST_F(Synthesize, SparseTakesNoRoomForWeights) {
  json config = json::parse(preset_config("toy"));
  config["hidden_size"] = 1 << 14;
  config["moe_intermediate_size"] = 1 << 14;
  config["n_routed_experts"] = 32;  // 110 GB of experts
  synthesize({.preset_or_config = write_config(config).string(), .output = root_ / "a", .sparse = true});
  uint64_t bytes = 0, room = 0;
  for (const std::string& name : names_in(root_ / "a")) {
    struct stat file {};
    ASSERT_EQ(::stat((root_ / "a" / name).c_str(), &file), 0);
    bytes += static_cast<uint64_t>(file.st_size);
    room += static_cast<uint64_t>(file.st_blocks) * 512;
  }
  EXPECT_GT(bytes, 50'000'000'000u);
  EXPECT_LT(room, 100'000'000u);
}

TEST_F(Synthesize, CutKeepsTheFirstLayersAndTheirValues) {
  const fs::path config = kData / "../../models/mini/config.json";
  synthesize({.preset_or_config = config.string(), .output = root_ / "all"});
  synthesize({.preset_or_config = config.string(), .output = root_ / "cut", .layers = 3});
  const Tensors all = load(root_ / "all"), cut = load(root_ / "cut");
  for (const auto& [name, tensor] : cut) EXPECT_EQ(tensor, all.at(name)) << name;
  EXPECT_EQ(cut.count("layers.2.attn_norm.weight"), 1u);
  EXPECT_EQ(cut.count("layers.3.attn_norm.weight"), 0u);
  EXPECT_EQ(cut.count("mtp.0.norm.weight"), 0u);
  const json written = config_of(root_ / "cut");
  EXPECT_EQ(written.at("num_hidden_layers"), 3);
  EXPECT_EQ(written.at("num_nextn_predict_layers"), 0);
  EXPECT_EQ(written.at("compress_ratios"), json({0, 0, 4}));
  EXPECT_EQ(written.at("num_hash_layers"), 2);
  synthesize({.preset_or_config = config.string(), .output = root_ / "one", .layers = 1});
  EXPECT_EQ(config_of(root_ / "one").at("num_hash_layers"), 1);
}

TEST_F(Synthesize, GenerationConfigIsTheOfficialOne) {
  synthesize({.preset_or_config = "toy", .output = root_ / "a"});
  EXPECT_EQ(json::parse(bytes_of(root_ / "a/generation_config.json")),
            json::parse(bytes_of(kData / "configs/deepseek-v4.generation_config.json")));
}

TEST_F(Synthesize, AbsentFormatsAreStatedInTheWrittenConfig) {
  json config = json::parse(preset_config("toy"));
  config.erase("expert_dtype");
  config.erase("quantization_config");
  synthesize({.preset_or_config = write_config(config).string(), .output = root_ / "a"});
  EXPECT_EQ(config_of(root_ / "a"), json::parse(preset_config("toy")));
}

TEST_F(Synthesize, EmptyDirectoryIsFilled) {
  fs::create_directory(root_ / "a");
  synthesize({.preset_or_config = "toy", .output = root_ / "a/"});
  EXPECT_GT(load(root_ / "a").size(), 100u);
  EXPECT_THAT(names_in(root_), testing::ElementsAre("a"));
}

TEST_F(Synthesize, NonEmptyOutputIsRefusedAndUntouched) {
  fs::create_directory(root_ / "a");
  std::ofstream(root_ / "a/precious") << "x";
  EXPECT_THAT(error_of({.preset_or_config = "toy", .output = root_ / "a"}), HasSubstr("exists and is not an empty directory"));
  EXPECT_THAT(names_in(root_ / "a"), testing::ElementsAre("precious"));
  EXPECT_THAT(error_of({.preset_or_config = "toy", .output = root_ / "a/precious"}), HasSubstr("exists and is not an empty directory"));
}

TEST_F(Synthesize, AnErrorOnTheWayLeavesNothing) {
  SynthesizeOptions options{.preset_or_config = "toy", .output = root_ / "a"};
  options.progress = [](uint64_t done, uint64_t total) {
    if (done > total / 2) fail("stopped half way");
  };
  EXPECT_EQ(error_of(options), "stopped half way");
  EXPECT_THAT(names_in(root_), testing::IsEmpty());
}

TEST_F(Synthesize, ProgressEndsAtTheTotal) {
  SynthesizeOptions options{.preset_or_config = "toy", .output = root_ / "a"};
  uint64_t last = 0, all = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    last = done;
    all = total;
  };
  synthesize(options);
  EXPECT_EQ(last, all);
  uint64_t data = 0;
  for (const auto& [name, tensor] : load(root_ / "a")) data += tensor.bytes.size();
  EXPECT_EQ(all, data);
}

TEST_F(Synthesize, TooSmallADiskIsNoticedBeforeWriting) {
  json config = json::parse(preset_config("toy"));
  config["hidden_size"] = 1 << 20;
  config["moe_intermediate_size"] = 1 << 20;
  config["n_routed_experts"] = 4096;  // 28 PB
  SynthesizeOptions options{.preset_or_config = write_config(config).string(), .output = root_ / "a"};
  options.progress = [](uint64_t, uint64_t) { fail("written"); };
  EXPECT_THAT(error_of(options), testing::AllOf(HasSubstr("bytes of disk"), HasSubstr("are free")));
  EXPECT_THAT(names_in(root_), testing::ElementsAre("given.json"));
}

TEST_F(Synthesize, WrongArgumentsAreRefused) {
  EXPECT_THAT(error_of({.preset_or_config = "v5", .output = root_ / "a"}),
              HasSubstr("v5: neither a preset (toy, v4-flash, v4-flash-0731, v4-pro) nor a file"));
  EXPECT_THAT(error_of({.preset_or_config = "toy", .output = root_ / "a", .layers = 5}),
              HasSubstr("--layers 5: the model has 4 layers; expected 1 to 4"));
  EXPECT_THAT(error_of({.preset_or_config = "toy", .output = root_ / "a", .layers = 0}), HasSubstr("expected 1 to 4"));
  json config = json::parse(preset_config("toy"));
  config["model_type"] = "llama";
  EXPECT_THAT(error_of({.preset_or_config = write_config(config).string(), .output = root_ / "a"}),
              HasSubstr("model_type: found \"llama\""));
  EXPECT_FALSE(fs::exists(root_ / "a"));
}

}  // namespace
}  // namespace dsv4
