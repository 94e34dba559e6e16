// Checkpoints in every published and re-saved form, read back and compared with values decoded by definition.
#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <map>
#include <optional>

#include "checkpoint/tiny_checkpoint.h"
#include "checkpoint/transformers_spelling.h"
#include "dsv4/error.h"
#include "support/independent_numbers.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using test::RawTensor;
using test::TempDir;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(DSV4_TEST_DATA) / "goldens";
const fs::path kMini = fs::path(DSV4_TEST_DATA) / ".." / ".." / "models" / "mini";

template <class T>
T number_at(const std::string& data, size_t index) {
  T value;
  std::memcpy(&value, data.data() + index * sizeof(T), sizeof(T));
  return value;
}

uint32_t byte_at(const std::string& data, size_t index) { return static_cast<unsigned char>(data[index]); }

double scale_value(const RawTensor& scale, size_t index) {
  return scale.dtype == "F32" ? number_at<float>(scale.data, index) : test::e8m0_value(byte_at(scale.data, index));
}

/// A weight's values by the definitions of spec 4.2.
std::vector<float> decoded(const RawTensor& weight, const RawTensor* scale, int64_t block_rows, int64_t block_cols) {
  const bool fp4 = weight.dtype == "I8";
  const int64_t stored_cols = weight.shape.size() > 1 ? weight.shape[1] : weight.shape[0];
  const int64_t rows = weight.shape.size() > 1 ? weight.shape[0] : 1, cols = fp4 ? 2 * stored_cols : stored_cols;
  std::vector<float> values;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const auto at = static_cast<size_t>(row * cols + col);
      double value = 0;
      if (fp4) {
        const uint32_t byte = byte_at(weight.data, at / 2);
        value =
            test::e2m1_value(col % 2 == 0 ? byte : byte >> 4) * scale_value(*scale, static_cast<size_t>(row * scale->shape[1] + col / 32));
      } else if (weight.dtype == "F8_E4M3") {
        const int64_t block = row / block_rows * scale->shape[1] + col / block_cols;
        value = test::e4m3_value(byte_at(weight.data, at)) * scale_value(*scale, static_cast<size_t>(block));
      } else if (weight.dtype == "BF16") {
        value = test::bf16_value(number_at<uint16_t>(weight.data, at));
      } else if (weight.dtype == "F16") {
        value = test::f16_value(number_at<uint16_t>(weight.data, at));
      } else {
        value = number_at<float>(weight.data, at);
      }
      values.push_back(static_cast<float>(value));
    }
  }
  return values;
}

using Values = std::map<std::string, std::vector<float>>;

/// All weights but hash tables and mtp.*, by DeepSeek name.
Values decoded_all(const std::vector<RawTensor>& tensors, int64_t block_rows = 128, int64_t block_cols = 128) {
  std::map<std::string, const RawTensor*> by_name;
  for (const RawTensor& tensor : tensors) by_name[tensor.name] = &tensor;
  Values values;
  for (const RawTensor& tensor : tensors) {
    if (tensor.name.ends_with(".scale") || tensor.dtype == "I64" || tensor.name.starts_with("mtp.")) continue;
    const size_t dot = tensor.name.rfind(".weight");
    const auto scale = by_name.find(dot == std::string::npos ? "" : tensor.name.substr(0, dot) + ".scale");
    values[tensor.name] = decoded(tensor, scale == by_name.end() ? nullptr : scale->second, block_rows, block_cols);
  }
  return values;
}

Values read_all(const Checkpoint& checkpoint) {
  Values values;
  for (const TensorSpec& spec : checkpoint.table()) {
    if (spec.published != NumberFormat::kI64) values[spec.name] = checkpoint.read(spec.name);
  }
  return values;
}

void expect_equal(const Values& actual, const Values& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, values] : expected) {
    const auto found = actual.find(name);
    ASSERT_NE(found, actual.end()) << name;
    ASSERT_EQ(found->second, values) << name;
  }
}

std::string bf16_bytes(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    EXPECT_EQ(bits & 0xFFFF, 0u) << value << " is not exact in bf16";
    halves.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return test::bytes_of(halves);
}

/// The same checkpoint with every weight dequantised, as transformers saves it: exact, since FP8 and FP4 values fit bf16.
std::vector<RawTensor> dequantised(const std::vector<RawTensor>& tensors) {
  const Values values = decoded_all(tensors);
  std::vector<RawTensor> out;
  for (const RawTensor& tensor : tensors) {
    if (tensor.name.ends_with(".scale")) continue;
    if (tensor.dtype != "F8_E4M3" && tensor.dtype != "I8") {
      out.push_back(tensor);
      continue;
    }
    std::vector<int64_t> shape = tensor.shape;
    if (tensor.dtype == "I8") shape[1] *= 2;
    out.push_back({tensor.name, "BF16", shape, bf16_bytes(values.at(tensor.name))});
  }
  return out;
}

/// Experts of a layer as two tensors, w1's rows before w3's; weights and scales alike.
std::vector<RawTensor> stacked(std::vector<RawTensor> tensors, int64_t layers, int64_t experts) {
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".ffn.experts.";
    for (const std::string leaf : {".weight", ".scale"}) {
      if (std::none_of(tensors.begin(), tensors.end(), [&](const RawTensor& t) { return t.name == prefix + "0.w1" + leaf; })) continue;
      RawTensor gate_up, down;
      for (int64_t e = 0; e < experts; ++e) {
        for (const std::string matrix : {".w1", ".w3", ".w2"}) {
          const std::string name = prefix + std::to_string(e) + matrix + leaf;
          const RawTensor& part = test::tensor_named(tensors, name);
          RawTensor& whole = matrix == ".w2" ? down : gate_up;
          whole.dtype = part.dtype;
          whole.shape = {experts, part.shape[0] * (matrix == ".w2" ? 1 : 2), part.shape[1]};
          whole.data += part.data;
          test::erase_named(tensors, name);
        }
      }
      const std::string suffix = leaf == ".scale" ? "_scale_inv" : "";
      const std::string target = "model.layers." + std::to_string(layer) + ".mlp.experts.";
      gate_up.name = target + "gate_up_proj" + suffix;
      down.name = target + "down_proj" + suffix;
      tensors.push_back(gate_up);
      tensors.push_back(down);
    }
  }
  return tensors;
}

std::vector<RawTensor> with_transformers_names(std::vector<RawTensor> tensors) {
  for (RawTensor& tensor : tensors) {
    if (!tensor.name.starts_with("model.")) tensor.name = test::transformers_spelling(tensor.name);
  }
  return tensors;
}

/// A config whose dims are no multiples of 128, so that blocks of all sizes occur.
std::string ragged_config(const json& changes = json::object()) {
  json base = {{"hidden_size", 160}, {"moe_intermediate_size", 192}, {"q_lora_rank", 136}, {"head_dim", 80},
               {"o_lora_rank", 70},  {"index_head_dim", 72}};
  base.update(changes);
  return test::tiny_config(base);
}

/// The routed experts as in Base releases: E4M3 and a scale of the given dtype for each block.
std::vector<RawTensor> with_fp8_experts(std::vector<RawTensor> tensors, const std::string& scale_dtype, int64_t block_rows = 128,
                                        int64_t block_cols = 128) {
  test::RandomBytes random(5);
  for (RawTensor& tensor : tensors) {
    if (tensor.name.find(".experts.") == std::string::npos || !tensor.name.ends_with(".weight")) continue;
    tensor.dtype = "F8_E4M3";
    tensor.shape[1] *= 2;
    tensor.data = random.data("F8_E4M3", static_cast<uint64_t>(test::count_of(tensor.shape)), 1);
    RawTensor& scale = test::tensor_named(tensors, tensor.name.substr(0, tensor.name.size() - 7) + ".scale");
    scale.dtype = scale_dtype;
    scale.shape = {(tensor.shape[0] + block_rows - 1) / block_rows, (tensor.shape[1] + block_cols - 1) / block_cols};
    scale.data = random.data(scale_dtype, static_cast<uint64_t>(test::count_of(scale.shape)), 1);
  }
  return tensors;
}

std::string config_of(const fs::path& directory) { return test::read_file(directory / "config.json"); }

// ---- as published

class PublishedCheckpoint : public testing::TestWithParam<fs::path> {};

TEST_P(PublishedCheckpoint, EveryWeightHasItsValue) {
  const Checkpoint checkpoint = Checkpoint::open(GetParam());
  std::vector<RawTensor> tensors;
  for (const auto& file : checkpoint.files()) {
    for (RawTensor& tensor : test::read_raw_file(file->path())) tensors.push_back(std::move(tensor));
  }
  expect_equal(read_all(checkpoint), decoded_all(tensors));
  EXPECT_EQ(checkpoint.naming(), "DeepSeek");
  EXPECT_EQ(checkpoint.directory(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, PublishedCheckpoint, testing::Values(kGoldens / "toy", kGoldens / "hash", kMini),
                         [](const auto& instance) { return instance.param.filename().string(); });

TEST(Checkpoint, ShardsAreInOrderOfTheirNames) {
  const Checkpoint checkpoint = Checkpoint::open(kGoldens / "hash");
  ASSERT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.files()[0]->path().filename(), "model-00001-of-00002.safetensors");
  EXPECT_EQ(checkpoint.files()[1]->path().filename(), "model-00002-of-00002.safetensors");
  EXPECT_THAT(checkpoint.notices(), IsEmpty());
}

TEST(Checkpoint, HashTablesAreReadAsIntegers) {
  const Checkpoint checkpoint = Checkpoint::open(kMini);
  const std::string name = "layers.1.ffn.gate.tid2eid";
  EXPECT_EQ(checkpoint.encoding(name), Encoding::kI64);
  std::vector<RawTensor> tensors = test::read_raw_file(kMini / "model.safetensors");
  const RawTensor& table = test::tensor_named(tensors, name);
  std::vector<int64_t> expected;
  for (size_t i = 0; i < table.data.size() / 8; ++i) expected.push_back(number_at<int64_t>(table.data, i));
  EXPECT_EQ(checkpoint.read_i64(name), expected);
  EXPECT_THROW(checkpoint.read(name), Error);
  EXPECT_THROW(checkpoint.read_i64("embed.weight"), Error);
}

TEST(Checkpoint, NextNTensorsAreATableOfTheirOwn) {
  const Checkpoint checkpoint = Checkpoint::open(kMini);
  EXPECT_THAT(checkpoint.notices(), ElementsAre("MTP block, 87 tensors, not converted: it is only for speculative decoding"));
  for (const TensorSpec& spec : checkpoint.table()) EXPECT_FALSE(spec.name.starts_with("mtp.")) << spec.name;
  EXPECT_EQ(checkpoint.draft_kind(), DraftKind::kNextN);
  std::vector<RawTensor> tensors = test::read_raw_file(kMini / "model.safetensors");
  std::vector<std::string> stored, read;
  for (const RawTensor& tensor : tensors) {
    if (tensor.name.starts_with("mtp.") && !tensor.name.ends_with(".scale")) stored.push_back(tensor.name);
  }
  for (const TensorSpec& spec : checkpoint.draft_table()) {
    read.push_back(spec.name);
    EXPECT_EQ(checkpoint.read(spec.name).size(), static_cast<size_t>(element_count(spec.shape))) << spec.name;
  }
  EXPECT_THAT(read, testing::UnorderedElementsAreArray(stored));
  const std::vector<float> norm = checkpoint.read("mtp.0.enorm.weight");
  const RawTensor& raw = test::tensor_named(tensors, "mtp.0.enorm.weight");
  for (size_t i = 0; i < norm.size(); ++i) EXPECT_EQ(std::bit_cast<uint32_t>(norm[i]) >> 16, number_at<uint16_t>(raw.data, i)) << i;
}

TEST(Checkpoint, BlocksAtTheEdgesHaveTheirScales) {
  for (const json& block : {json{128, 128}, json{64, 32}, json{1, 1}}) {
    const std::string config = ragged_config({{"quantization_config", {{"weight_block_size", block}}}});
    const std::vector<RawTensor> tensors = test::random_tensors(config);
    const TempDir dir;
    test::write_checkpoint(dir.path(), config, tensors);
    expect_equal(read_all(Checkpoint::open(dir.path())), decoded_all(tensors, block[0], block[1]));
  }
}

// ---- other forms

TEST(Checkpoint, TransformersNamesReadTheSame) {
  const std::vector<RawTensor> tensors = test::read_raw_file(kGoldens / "toy" / "model.safetensors");
  const TempDir dir;
  test::write_checkpoint(dir.path(), config_of(kGoldens / "toy"), with_transformers_names(tensors));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  expect_equal(read_all(checkpoint), decoded_all(tensors));
  EXPECT_EQ(checkpoint.naming(), "transformers");
  EXPECT_EQ(checkpoint.stored("layers.0.attn.wq_a.weight").stored_name, "model.layers.0.self_attn.q_a_proj.weight");
  EXPECT_EQ(checkpoint.scale("layers.0.attn.wq_a.weight")->stored_name, "model.layers.0.self_attn.q_a_proj.weight_scale_inv");
}

TEST(Checkpoint, NamesWithoutModelPrefixReadTheSame) {
  const std::string config = test::tiny_config();
  const std::vector<RawTensor> tensors = test::random_tensors(config);
  std::vector<RawTensor> base = with_transformers_names(tensors);
  for (RawTensor& tensor : base) {
    if (tensor.name.starts_with("model.")) tensor.name = tensor.name.substr(6);
  }
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, base);
  expect_equal(read_all(Checkpoint::open(dir.path())), decoded_all(tensors));
}

TEST(Checkpoint, BothSchemesInOneCheckpointAreMixed) {
  const std::string config = test::tiny_config();
  std::vector<RawTensor> tensors = test::random_tensors(config);
  const Values expected = decoded_all(tensors);
  for (const char* name : {"embed.weight", "layers.1.attn.attn_sink"})
    test::tensor_named(tensors, name).name = test::transformers_spelling(name);
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_EQ(checkpoint.naming(), "mixed");
  expect_equal(read_all(checkpoint), expected);
}

TEST(Checkpoint, StackedFp4ExpertsReadTheSame) {
  const std::vector<RawTensor> tensors = test::read_raw_file(kGoldens / "toy" / "model.safetensors");
  const TempDir dir;
  test::write_checkpoint(dir.path(), config_of(kGoldens / "toy"), with_transformers_names(stacked(tensors, 4, 8)));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  expect_equal(read_all(checkpoint), decoded_all(tensors));
  EXPECT_EQ(checkpoint.encoding("layers.3.ffn.experts.7.w3.weight"), Encoding::kFp4);
  EXPECT_EQ(checkpoint.stored("layers.3.ffn.experts.7.w3.weight").shape, (Shape{64, 64}));
  EXPECT_EQ(checkpoint.scale("layers.3.ffn.experts.7.w3.weight")->shape, (Shape{64, 4}));
}

TEST(Checkpoint, DequantisedBf16ReadsTheSameWithSingleAndStackedExperts) {
  const std::vector<RawTensor> tensors = test::read_raw_file(kGoldens / "toy" / "model.safetensors");
  const std::vector<RawTensor> plain = dequantised(tensors);
  for (const bool stack : {false, true}) {
    const TempDir dir;
    test::write_checkpoint(dir.path(), config_of(kGoldens / "toy"), stack ? with_transformers_names(stacked(plain, 4, 8)) : plain);
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    expect_equal(read_all(checkpoint), decoded_all(tensors));
    EXPECT_EQ(checkpoint.encoding("layers.2.attn.wo_b.weight"), Encoding::kBf16);
    EXPECT_EQ(checkpoint.scale("layers.2.attn.wo_b.weight"), nullptr);
    EXPECT_THAT(checkpoint.notices(), ElementsAre("expert_dtype is fp4 in config.json, but the tensors are BF16: the tensors decide"));
  }
}

TEST(Checkpoint, EverythingMayBeStoredAsOneFloatType) {
  const std::string config = ragged_config();
  for (const std::string dtype : {"F16", "BF16", "F32"}) {
    test::RandomBytes random(3);
    std::vector<RawTensor> tensors;
    for (RawTensor tensor : test::random_tensors(config)) {
      if (tensor.name.ends_with(".scale")) continue;
      if (tensor.dtype == "I8") tensor.shape[1] *= 2;
      if (tensor.dtype != "I64") {
        tensor.dtype = dtype;
        tensor.data = random.data(dtype, static_cast<uint64_t>(test::count_of(tensor.shape)), 1);
      }
      tensors.push_back(tensor);
    }
    const TempDir dir;
    test::write_checkpoint(dir.path(), config, tensors);
    expect_equal(read_all(Checkpoint::open(dir.path())), decoded_all(tensors));
  }
}

TEST(Checkpoint, BaseReleasesHaveFp8ExpertsWithF32Scales) {
  const std::string config = ragged_config();
  for (const std::string scale_dtype : {"F32", "F8_E8M0"}) {
    const std::vector<RawTensor> tensors = with_fp8_experts(test::random_tensors(config), scale_dtype);
    const TempDir dir;
    test::write_checkpoint(dir.path(), config, tensors);
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    expect_equal(read_all(checkpoint), decoded_all(tensors));
    EXPECT_EQ(checkpoint.encoding("layers.0.ffn.experts.0.w1.weight"), Encoding::kFp8);
    EXPECT_THAT(checkpoint.notices(), ElementsAre("expert_dtype is fp4 in config.json, but the tensors are FP8: the tensors decide"));
  }
}

TEST(Checkpoint, DenseWeightsMayHaveF32Scales) {
  const std::string config = ragged_config();
  std::vector<RawTensor> tensors = test::random_tensors(config);
  test::RandomBytes random(7);
  for (RawTensor& tensor : tensors) {
    if (!tensor.name.ends_with(".scale") || tensor.name.find(".experts.") != std::string::npos) continue;
    tensor.dtype = "F32";
    tensor.data = random.data("F32", static_cast<uint64_t>(test::count_of(tensor.shape)), 1);
  }
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  expect_equal(read_all(Checkpoint::open(dir.path())), decoded_all(tensors));
}

TEST(Checkpoint, StackedFp8ExpertsReadTheSame) {
  const std::string config = ragged_config({{"moe_intermediate_size", 256}, {"expert_dtype", nullptr}});
  const std::vector<RawTensor> tensors = with_fp8_experts(test::random_tensors(config), "F32");
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, with_transformers_names(stacked(tensors, 2, 4)));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  expect_equal(read_all(checkpoint), decoded_all(tensors));
  EXPECT_THAT(checkpoint.notices(), ElementsAre("expert_dtype is not in config.json; the tensors are FP8"));
}

TEST(Checkpoint, Fp8ExpertsStatedInConfigNeedNoNotice) {
  const std::string config = ragged_config({{"expert_dtype", "fp8"}});
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, test::random_tensors(config));
  EXPECT_THAT(Checkpoint::open(dir.path()).notices(), IsEmpty());
}

// ---- files

TEST(Checkpoint, ShardsThatTheIndexDoesNotListAreIgnoredWithANotice) {
  const std::string config = test::tiny_config();
  const TempDir dir;
  test::write_sharded_checkpoint(dir.path(), config, test::random_tensors(config));
  test::write_file(dir / "model-00003-of-00002.safetensors", "not read");
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_THAT(checkpoint.notices(), ElementsAre(HasSubstr("\"model-00003-of-00002.safetensors\"")));
}

TEST(Checkpoint, IndexDecidesWhereASingleFileLiesNextToIt) {
  const std::string config = test::tiny_config();
  const std::vector<RawTensor> tensors = test::random_tensors(config, 1);
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, test::random_tensors(config, 2));
  test::write_sharded_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  expect_equal(read_all(checkpoint), decoded_all(tensors));
  EXPECT_THAT(checkpoint.notices(), ElementsAre(HasSubstr("\"model.safetensors\"")));
}

TEST(Checkpoint, LinksToShardsAreFollowedAnywhere) {
  const std::string config = test::tiny_config();
  const TempDir disk, dir;
  test::write_sharded_checkpoint(dir.path(), config, test::random_tensors(config));
  for (const char* shard : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    fs::rename(dir / shard, disk / shard);
    fs::create_symlink(disk / shard, dir / shard);
  }
  EXPECT_NO_THROW(Checkpoint::open(dir.path()));
}

TEST(Checkpoint, ASnapshotOfAHubCacheIsLinksToItsBlobs) {
  const std::string config = test::tiny_config();
  const TempDir cache, links;
  const fs::path repository = cache / "models--deepseek-ai--DeepSeek-V4-Flash", snapshot = repository / "snapshots/abc";
  test::write_sharded_checkpoint(repository / "blobs", config, test::random_tensors(config));
  fs::create_directories(snapshot);
  for (const auto& file : fs::directory_iterator(repository / "blobs")) {
    fs::create_symlink("../../blobs" / file.path().filename(), snapshot / file.path().filename());
  }
  EXPECT_NO_THROW(Checkpoint::open(snapshot));
  fs::create_symlink(snapshot, links / "checkpoint");
  EXPECT_NO_THROW(Checkpoint::open(links / "checkpoint")) << "a link to the directory";
}

TEST(Checkpoint, DraftTensorsThatTheIndexLeavesOutAreSkipped) {
  const std::string config = test::tiny_config({{"num_nextn_predict_layers", 1}, {"compress_ratios", {0, 4, 0}}});
  const std::vector<RawTensor> tensors = test::random_tensors(config);
  const TempDir dir;
  test::write_sharded_checkpoint(dir.path(), config, tensors);
  const fs::path index = dir / "model.safetensors.index.json";
  nlohmann::json tree = nlohmann::json::parse(test::read_file(index));
  std::erase_if(tree["weight_map"].get_ref<nlohmann::json::object_t&>(), [](const auto& entry) { return entry.first.starts_with("mtp."); });
  test::write_file(index, tree.dump());
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_THAT(checkpoint.notices(),
              Contains(AllOf(HasSubstr("mtp.* tensors of the shards are not in model.safetensors.index.json"), HasSubstr("skipped"))));
  std::vector<RawTensor> main = tensors;
  std::erase_if(main, [](const RawTensor& tensor) { return tensor.name.starts_with("mtp."); });
  expect_equal(read_all(checkpoint), decoded_all(main));
}

TEST(Checkpoint, ScalesThatWereLeftBehindByDequantisingAreIgnored) {
  const std::string config = test::tiny_config();
  std::vector<RawTensor> tensors = test::random_tensors(config);
  test::RandomBytes random(3);
  for (const char* name : {"layers.0.attn.wq_a.weight", "layers.1.attn.wo_b.weight"}) {
    RawTensor& tensor = test::tensor_named(tensors, name);
    tensor.data = random.data("BF16", static_cast<uint64_t>(test::count_of(tensor.shape)), 1);
    tensor.dtype = "BF16";
  }
  std::vector<RawTensor> clean = tensors;
  for (const char* name : {"layers.0.attn.wq_a.scale", "layers.1.attn.wo_b.scale"}) test::erase_named(clean, name);
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_THAT(checkpoint.notices(), Contains(AllOf(HasSubstr("model.safetensors"), HasSubstr("2 such scales are left over and ignored"))));
  expect_equal(read_all(checkpoint), decoded_all(clean));
}

TEST(Checkpoint, MetadataThatIsNoTextIsIgnored) {
  const std::string config = test::tiny_config();
  const std::vector<RawTensor> tensors = test::random_tensors(config);
  for (const char* metadata : {R"({"total":1})", R"({"a":{"b":["c",{"d":null}]},"e":"f"})", R"({"a":[[]],"g":true,"h":1.5,"i":-2})",
                               R"({"a":"1","a":"2"})", "[]", R"([{"a":[1]},2])", R"("pt")", "null", "7", "-7", "false", "0.5"}) {
    SCOPED_TRACE(metadata);
    const TempDir dir;
    test::write_checkpoint(dir.path(), config, tensors);
    test::write_file(dir / "model.safetensors", test::safetensors_bytes(tensors, metadata));
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    EXPECT_THAT(checkpoint.notices(),
                ElementsAre(AllOf(HasSubstr("model.safetensors"), HasSubstr("__metadata__"), HasSubstr("ignored (in 1 of 1 files)"))));
    expect_equal(read_all(checkpoint), decoded_all(tensors));
  }
}

TEST(Checkpoint, MovedCheckpointStillReads) {
  const std::string config = test::tiny_config();
  const std::vector<RawTensor> tensors = test::random_tensors(config);
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  Checkpoint first = Checkpoint::open(dir.path());
  Checkpoint second = Checkpoint::open(kGoldens / "toy");
  second = std::move(first);
  expect_equal(read_all(second), decoded_all(tensors));
}

// ---- reading

TEST(Checkpoint, RowsAreThoseOfTheWholeTensor) {
  const std::string config = ragged_config();
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, test::random_tensors(config));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  // FP8 of 160 rows (blocks of 128), FP4 and BF16.
  for (const char* name : {"layers.0.attn.wq_b.weight", "layers.0.ffn.experts.2.w1.weight", "embed.weight"}) {
    const std::vector<float> whole = checkpoint.read(name);
    const Shape shape = checkpoint.shape(name);
    for (int64_t begin = 0; begin <= shape[0]; begin += 5) {
      for (const int64_t end : {begin, std::min(begin + 1, shape[0]), std::min(begin + 131, shape[0]), shape[0]}) {
        std::vector<float> rows(static_cast<size_t>((end - begin) * shape[1]), -1.0f);
        checkpoint.read_rows(name, begin, end, rows.data());
        ASSERT_EQ(rows, std::vector<float>(whole.begin() + begin * shape[1], whole.begin() + end * shape[1])) << name << " " << begin;
      }
    }
  }
}

TEST(Checkpoint, RowsThatAreNotThereAreRefused) {
  const Checkpoint checkpoint = Checkpoint::open(kGoldens / "toy");
  std::vector<float> out(512 * 128);
  for (const auto& [begin, end] : {std::pair{-1, 1}, {0, 513}, {512, 513}, {2, 1}}) {
    EXPECT_THROW(checkpoint.read_rows("embed.weight", begin, end, out.data()), Error) << begin;
  }
  EXPECT_THROW(checkpoint.read_rows("norm.weight", 0, 2, out.data()), Error);
  EXPECT_NO_THROW(checkpoint.read_rows("norm.weight", 0, 1, out.data()));
  EXPECT_THROW(checkpoint.read("no.such.weight"), Error);
  EXPECT_THROW(checkpoint.stored("layers.0.attn.wq_a.scale"), Error);
}

TEST(Checkpoint, NanScaleIsRefusedWhenItIsRead) {
  const std::string config = test::tiny_config();
  std::vector<RawTensor> tensors = test::random_tensors(config);
  test::tensor_named(tensors, "layers.0.ffn.experts.1.w2.scale").data[5] = '\xFF';
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  try {
    checkpoint.read("layers.0.ffn.experts.1.w2.weight");
    FAIL() << "a NaN scale was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors: tensor \"layers.0.ffn.experts.1.w2.scale\": row 5 "));
  }
}

TEST(Checkpoint, FileTruncatedAfterOpeningIsAnErrorNotASignal) {
  const std::string config = test::tiny_config();
  const TempDir dir;
  test::write_checkpoint(dir.path(), config, test::random_tensors(config));
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  checkpoint.read("embed.weight");
  fs::resize_file(dir / "model.safetensors", 100);
  try {
    checkpoint.read("embed.weight");
    FAIL() << "truncated data were read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors: the file was "));
    EXPECT_THAT(error.what(), HasSubstr("is now 100; it was truncated"));
  }
  EXPECT_THROW(checkpoint.stored("layers.0.ffn.experts.0.w1.weight"), Error);
  EXPECT_THROW(checkpoint.scale("layers.0.ffn.experts.0.w1.weight"), Error);
  EXPECT_THROW(checkpoint.read_i64("layers.0.ffn.gate.tid2eid"), Error);
}

TEST(Checkpoint, ReleasedTensorsKeepTheirValues) {
  const Checkpoint checkpoint = Checkpoint::open(kGoldens / "toy");
  const Values before = read_all(checkpoint);
  for (const TensorSpec& spec : checkpoint.table()) checkpoint.release(spec.name);
  expect_equal(read_all(checkpoint), before);
}

}  // namespace
}  // namespace dsv4
