// The tensor table against the releases' published totals and against the headers of checkpoints that others wrote.
#include "checkpoint/tensor_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;

const std::filesystem::path kData = DSV4_TEST_DATA;

json load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return json::parse(in);
}

struct Totals {
  size_t tensors = 0;
  uint64_t bytes = 0;
  std::map<std::string, size_t> by_type;
};

/// Sizes by spelling, so that nothing of dtype.h takes part.
Totals totals(const Config& config, bool mtp_only) {
  const std::map<DType, std::pair<std::string, uint64_t>> types = {{DType::kF8E4M3, {"F8_E4M3", 1}}, {DType::kF8E8M0, {"F8_E8M0", 1}},
                                                                   {DType::kI8, {"I8", 1}},          {DType::kBF16, {"BF16", 2}},
                                                                   {DType::kF32, {"F32", 4}},        {DType::kI64, {"I64", 8}}};
  Totals result;
  for (const TensorSpec& spec : tensor_table(config)) {
    EXPECT_EQ(spec.mtp, spec.name.rfind("mtp.", 0) == 0) << spec.name;
    if (mtp_only && !spec.mtp) continue;
    for (const ShardSpec& stored : shard_tensors(config, spec)) {
      const auto& [name, size] = types.at(stored.dtype);
      uint64_t bytes = size;
      for (const int64_t dim : stored.shape) bytes *= static_cast<uint64_t>(dim);
      result.tensors += 1;
      result.bytes += bytes;
      result.by_type[name] += 1;
    }
  }
  return result;
}

using Counts = std::map<std::string, size_t>;

TEST(TensorTable, MatchesThePublishedTotalsOfFlash) {
  const Config config = parse_config(load(kData / "configs/deepseek-v4-flash.config.json").dump(), "flash");
  const Totals all = totals(config, false);
  EXPECT_EQ(all.tensors, 69187u);
  EXPECT_EQ(all.bytes, 159609485896u);
  EXPECT_EQ(all.by_type, (Counts{{"BF16", 433}, {"F32", 417}, {"F8_E4M3", 375}, {"F8_E8M0", 34167}, {"I64", 3}, {"I8", 33792}}));
  const Totals mtp = totals(config, true);
  EXPECT_EQ(mtp.tensors, 1575u);
  EXPECT_EQ(mtp.bytes, 3593787756u);
}

TEST(TensorTable, MatchesThePublishedTotalsOfPro) {
  const Config config = parse_config(load(kData / "configs/deepseek-v4-pro.config.json").dump(), "pro");
  const Totals all = totals(config, false);
  EXPECT_EQ(all.tensors, 145116u);
  EXPECT_EQ(all.bytes, 864704792696u);
  EXPECT_EQ(all.by_type, (Counts{{"BF16", 619}, {"F32", 590}, {"F8_E4M3", 528}, {"F8_E8M0", 71952}, {"I64", 3}, {"I8", 71424}}));
  const Totals mtp = totals(config, true);
  EXPECT_EQ(mtp.tensors, 2343u);
  EXPECT_EQ(mtp.bytes, 13956587692u);
}

/// The header of a file that others wrote, without our reader.
void add_header(const std::filesystem::path& file, std::map<std::string, std::string>& tensors) {
  std::ifstream in(file, std::ios::binary);
  unsigned char length_bytes[8] = {};
  in.read(reinterpret_cast<char*>(length_bytes), 8);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | length_bytes[i];
  std::string text(length, '\0');
  ASSERT_TRUE(in.read(text.data(), static_cast<std::streamsize>(length))) << file;
  const json header = json::parse(text);
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") tensors[name] = entry["dtype"].get<std::string>() + entry["shape"].dump();
  }
}

std::map<std::string, std::string> table_as_headers(const Config& config) {
  const std::map<DType, std::string> types = {{DType::kF8E4M3, "F8_E4M3"}, {DType::kF8E8M0, "F8_E8M0"}, {DType::kI8, "I8"},
                                              {DType::kBF16, "BF16"},      {DType::kF32, "F32"},        {DType::kI64, "I64"}};
  std::map<std::string, std::string> tensors;
  for (const TensorSpec& spec : tensor_table(config)) {
    for (const ShardSpec& stored : shard_tensors(config, spec)) {
      EXPECT_TRUE(tensors.emplace(stored.name, types.at(stored.dtype) + json(stored.shape).dump()).second)
          << stored.name << " is listed twice";
    }
  }
  return tensors;
}

class GoldenCheckpoint : public testing::TestWithParam<const char*> {};

TEST_P(GoldenCheckpoint, ListsExactlyTheTensorsOfTheTable) {
  const std::filesystem::path directory = kData / GetParam();
  std::map<std::string, std::string> published;
  for (const auto& item : std::filesystem::directory_iterator(directory)) {
    const std::string name = item.path().filename().string();
    if (name.rfind("model", 0) == 0 && item.path().extension() == ".safetensors") add_header(item.path(), published);
  }
  ASSERT_GT(published.size(), 100u);
  const std::map<std::string, std::string> table = table_as_headers(read_config(directory));
  for (const auto& [name, type] : published) {
    const auto it = table.find(name);
    ASSERT_NE(it, table.end()) << name << " is not in the table";
    EXPECT_EQ(it->second, type) << name;
  }
  EXPECT_EQ(table.size(), published.size());
}

INSTANTIATE_TEST_SUITE_P(Goldens, GoldenCheckpoint, testing::Values("goldens/toy", "goldens/hash", "../../models/mini"),
                         [](const auto& test) { return std::filesystem::path(test.param).filename().string(); });

json toy() { return load(kData / "goldens/toy/config.json"); }

TEST(TensorTable, IsInModelOrder) {
  json c = toy();
  c["num_nextn_predict_layers"] = 1;
  const std::vector<TensorSpec> table = tensor_table(parse_config(c.dump(), "toy"));
  std::vector<std::string> parts;
  for (const TensorSpec& spec : table) {
    std::string part = spec.name;
    if (part.rfind("layers.", 0) == 0 || part.rfind("mtp.", 0) == 0) part = part.substr(0, part.find('.', part.find('.') + 1));
    if (parts.empty() || parts.back() != part) parts.push_back(part);
  }
  EXPECT_THAT(parts, testing::ElementsAre("embed.weight", "layers.0", "layers.1", "layers.2", "layers.3", "norm.weight", "hc_head_fn",
                                          "hc_head_base", "hc_head_scale", "head.weight", "mtp.0"));
}

TEST(TensorTable, ExpertsComeOneByOne) {
  std::vector<std::string> experts;
  for (const TensorSpec& spec : tensor_table(parse_config(toy().dump(), "toy"))) {
    if (spec.name.rfind("layers.1.ffn.experts.", 0) == 0) experts.push_back(spec.name.substr(21));
  }
  ASSERT_EQ(experts.size(), 24u);
  EXPECT_THAT(std::vector<std::string>(experts.begin(), experts.begin() + 4),
              testing::ElementsAre("0.w1.weight", "0.w2.weight", "0.w3.weight", "1.w1.weight"));
}

TEST(TensorTable, ShapesFollowTheNumberOfStreams) {
  json c = toy();
  c["hc_mult"] = 2;
  for (const TensorSpec& spec : tensor_table(parse_config(c.dump(), "toy"))) {
    if (spec.name == "layers.0.hc_ffn_fn") {
      EXPECT_EQ(spec.shape, (Shape{8, 256}));  // (2 + 2) * 2 outputs of 2 * 128 inputs
    }
    if (spec.name == "layers.0.hc_ffn_base") {
      EXPECT_EQ(spec.shape, Shape{8});
    }
    if (spec.name == "hc_head_fn") {
      EXPECT_EQ(spec.shape, (Shape{2, 256}));
    }
  }
}

TEST(TensorTable, CompressorFollowsTheClassNotTheRate) {
  json c = toy();
  c.erase("compress_ratios");
  c["layer_types"] = {"heavily_compressed_attention", "compressed_sparse_attention", "sliding_attention", "sliding_attention"};
  c["mlp_layer_types"] = {"moe", "moe", "moe", "moe"};
  c.erase("num_hash_layers");
  c["compress_rates"] = {{"heavily_compressed_attention", 4}, {"compressed_sparse_attention", 16}};
  std::map<std::string, Shape> shapes;
  for (const TensorSpec& spec : tensor_table(parse_config(c.dump(), "toy"))) shapes[spec.name] = spec.shape;
  EXPECT_EQ(shapes.at("layers.0.attn.compressor.ape"), (Shape{4, 32}));   // no overlap: head_dim wide
  EXPECT_EQ(shapes.at("layers.1.attn.compressor.ape"), (Shape{16, 64}));  // overlap: twice
  EXPECT_EQ(shapes.count("layers.0.attn.indexer.wq_b.weight"), 0u);
  EXPECT_EQ(shapes.count("layers.1.attn.indexer.wq_b.weight"), 1u);
  EXPECT_EQ(shapes.count("layers.2.attn.compressor.ape"), 0u);
}

TEST(TensorTable, ScalesHaveCeilBlocks) {
  const Config config = parse_config(toy().dump(), "toy");
  const std::vector<ShardSpec> fp8 = shard_tensors(config, {"a.weight", NumberFormat::kF8E4M3, {129, 64}});
  ASSERT_EQ(fp8.size(), 2u);
  EXPECT_EQ(fp8[1].name, "a.scale");
  EXPECT_EQ(fp8[1].shape, (Shape{2, 1}));
  const std::vector<ShardSpec> fp4 = shard_tensors(config, {"a.weight", NumberFormat::kF4E2M1, {5, 96}});
  EXPECT_EQ(fp4[0].shape, (Shape{5, 48}));
  EXPECT_EQ(fp4[1].shape, (Shape{5, 3}));
}

TEST(TensorTable, OnlyWeightsHaveScales) {
  EXPECT_EQ(scale_name("layers.0.attn.wq_a.weight"), "layers.0.attn.wq_a.scale");
  EXPECT_THROW(scale_name("layers.0.attn.attn_sink"), Error);
  EXPECT_THROW(scale_name(".weight"), Error);
}

}  // namespace
}  // namespace dsv4
