// The report about a checkpoint, against counts taken from the files in another way.
#include "checkpoint/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/tiny_checkpoint.h"

namespace dsv4 {
namespace {

using test::RawTensor;
using test::TempDir;
using testing::ElementsAre;

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(DSV4_TEST_DATA) / "goldens";

TEST(Inspect, CountsAgreeWithTheFiles) {
  const Checkpoint checkpoint = Checkpoint::open(kGoldens / "hash");
  const InspectReport report = inspect_checkpoint(checkpoint);
  std::map<std::string, uint64_t> tensors, bytes;
  uint64_t all = 0;
  int64_t parameters = 0, routed = 0;
  for (const auto& file : checkpoint.files()) {
    for (const RawTensor& tensor : test::read_raw_file(file->path())) {
      ++tensors[tensor.dtype];
      bytes[tensor.dtype] += tensor.data.size();
      ++all;
      if (tensor.name.ends_with(".scale") || tensor.dtype == "I64") continue;
      const int64_t count = test::count_of(tensor.shape) * (tensor.dtype == "I8" ? 2 : 1);
      parameters += count;
      if (tensor.name.find(".experts.") != std::string::npos) routed += count;
    }
  }
  EXPECT_EQ(report.tensors_by_dtype, tensors);
  EXPECT_EQ(report.bytes_by_dtype, bytes);
  EXPECT_EQ(report.tensors, all);
  EXPECT_EQ(report.parameters, parameters);
  EXPECT_EQ(report.active_parameters, parameters - routed * (8 - 2) / 8);
  uint64_t sum = 0;
  for (const auto& [dtype, count] : bytes) sum += count;
  EXPECT_EQ(report.bytes, sum);
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[1].name, "model-00002-of-00002.safetensors");
  EXPECT_EQ(report.files[1].bytes, fs::file_size(kGoldens / "hash" / "model-00002-of-00002.safetensors"));
  EXPECT_EQ(report.files[0].tensors + report.files[1].tensors, all);
}

TEST(Inspect, LayersAreCountedByKind) {
  const InspectReport report = inspect_checkpoint(Checkpoint::open(kGoldens / "hash"));
  EXPECT_EQ(report.sliding_layers, 2);  // ratios 0 0 4 128 4 128 4, three hash layers
  EXPECT_EQ(report.csa_layers, 3);
  EXPECT_EQ(report.hca_layers, 2);
  EXPECT_EQ(report.hash_routed_layers, 3);
  EXPECT_EQ(report.model, "custom");
  EXPECT_EQ(report.naming, "DeepSeek");
  EXPECT_THAT(report.expert_encodings, ElementsAre("FP4"));
  EXPECT_EQ(report.config.head_dim, 96);
}

TEST(Inspect, NoticesAndFileNamesArePassedOn) {
  const TempDir dir;
  const std::string config = test::tiny_config({{"expert_dtype", nullptr}});
  test::write_checkpoint(dir.path(), config, test::random_tensors(config));
  const InspectReport report = inspect_checkpoint(Checkpoint::open(dir.path()));
  EXPECT_THAT(report.notices, ElementsAre("expert_dtype is not in config.json; the tensors are FP4"));
  EXPECT_EQ(report.directory, dir.path().string());
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_EQ(report.files[0].name, "model.safetensors");
}

/// A release's first layer as a file that is all hole: gigabytes of zeros that take no space, and no time where weights are not read.
void write_sparse_layer(const fs::path& directory, const std::string& config_name) {
  nlohmann::json json = nlohmann::json::parse(test::read_file(fs::path(DSV4_TEST_DATA) / "configs" / config_name));
  json["num_hidden_layers"] = 1;
  json["num_nextn_predict_layers"] = 0;
  json["compress_ratios"] = {json["compress_ratios"][0]};
  const std::string text = json.dump();
  const Config config = parse_config(text, config_name);
  std::string header = "{";
  uint64_t end = 0;
  for (const TensorSpec& spec : tensor_table(config)) {
    for (const ShardSpec& stored : shard_tensors(config, spec)) {
      const uint64_t begin = end;
      end += static_cast<uint64_t>(test::count_of(stored.shape)) * dtype_size(stored.dtype);
      header +=
          (begin > 0 ? "," : "") + test::header_entry({stored.name, std::string(dtype_name(stored.dtype)), stored.shape, ""}, begin, end);
    }
  }
  const std::string head = test::safetensors_bytes(header + "}", "");
  test::write_file(directory / "config.json", text);
  test::write_file(directory / "model.safetensors", head);
  fs::resize_file(directory / "model.safetensors", head.size() + end);
}

TEST(Inspect, ReleasesAreKnownByTheirDimensionsEvenWhenCut) {
  for (const auto& [config, model] : {std::pair{"deepseek-v4-flash.config.json", "V4-Flash"}, {"deepseek-v4-pro.config.json", "V4-Pro"}}) {
    const TempDir dir;
    write_sparse_layer(dir.path(), config);
    const InspectReport report = inspect_checkpoint(Checkpoint::open(dir.path()));
    EXPECT_EQ(report.model, model);
    EXPECT_EQ(report.config.num_hidden_layers, 1);
    EXPECT_GT(report.bytes, 5'000'000'000u);
  }
}

}  // namespace
}  // namespace dsv4
