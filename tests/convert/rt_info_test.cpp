// rt_info of a written model, read back by OpenVINO, against what NNCF 3.4.0 and optimum-intel 2.2.0 write.
#include "convert/rt_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "openvino/runtime/core.hpp"
#include "support/files.h"

namespace dsv4 {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kToy = fs::path(DSV4_TEST_DATA) / "goldens/toy";

std::shared_ptr<ov::Model> converted(const TemporaryDirectory& directory, const CompressionOptions& compression) {
  ConvertOptions options;
  options.checkpoint = kToy;
  options.output = directory.path() / "model";
  options.compression = compression;
  convert(options);
  return ov::Core().read_model((options.output / "openvino_model.xml").string());
}

TEST(RtInfo, CompressedWeightsAreDescribedAsNncfDoes) {
  const TemporaryDirectory directory;
  const auto model = converted(directory, {.format = WeightFormat::kInt4, .group_size = 32});
  // Keys and values of nncf.compress_weights(mode=INT4_ASYM, group_size=32) in 3.4.0, ignored_scope aside.
  const std::map<std::string, std::string> expected = {{"mode", "int4_asym"},
                                                       {"group_size", "32"},
                                                       {"ratio", "1"},
                                                       {"all_layers", "False"},
                                                       {"backup_mode", "int8_asym"},
                                                       {"sensitivity_metric", "weight_quantization_error"},
                                                       {"compression_format", "dequantize"},
                                                       {"awq", "False"},
                                                       {"gptq", "False"},
                                                       {"lora_correction", "False"},
                                                       {"scale_estimation", "False"}};
  for (const auto& [key, value] : expected) EXPECT_EQ(model->get_rt_info<std::string>("nncf", "weight_compression", key), value) << key;
  EXPECT_EQ(model->get_rt_info<std::string>("nncf", "version"), "3.4.0");
  EXPECT_EQ(model->get_rt_info<std::string>("runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"), "0");
  EXPECT_EQ(model->get_rt_info<std::string>("dsv4", "weight_format"), describe({.format = WeightFormat::kInt4, .group_size = 32}));
}

TEST(RtInfo, TheCpuPluginTakesTheRuntimeOptionUnlessToldOtherwise) {
  const TemporaryDirectory directory;
  const auto model = converted(directory, {.format = WeightFormat::kInt8});
  ov::Core core;
  EXPECT_EQ(core.compile_model(model, "CPU").get_property(ov::hint::dynamic_quantization_group_size), 0u);
  EXPECT_EQ(core.compile_model(model, "CPU", ov::hint::dynamic_quantization_group_size(64))
                .get_property(ov::hint::dynamic_quantization_group_size),
            64u);
}

TEST(RtInfo, UncompressedWeightsHaveNoNncfSection) {
  const TemporaryDirectory directory;
  const auto model = converted(directory, {.format = WeightFormat::kFp16});
  EXPECT_FALSE(model->has_rt_info("nncf"));
  EXPECT_FALSE(model->has_rt_info("runtime_options"));
  EXPECT_EQ(model->get_rt_info<std::string>("dsv4", "version"), DSV4_VERSION);
}

TEST(RtInfo, TheSectionOfOptimumIsThereOnlyWithTheVersionThatItReads) {
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{}, ov::ParameterVector{}, "empty");
  add_rt_info(*model, {}, {}, "", ChatRelease::kOriginal);
  EXPECT_FALSE(model->has_rt_info("optimum"));
  add_rt_info(*model, {}, {}, "4.57.1", ChatRelease::kOriginal);
  EXPECT_EQ(model->get_rt_info<std::string>("optimum", "transformers_version"), "4.57.1");
}

TEST(RtInfo, StatesTheConfigThatTheModelWasMadeFrom) {
  const TemporaryDirectory directory;
  const auto model = converted(directory, {});
  const std::map<std::string, std::string> expected = {
      {"num_hidden_layers", "4"},
      {"compress_ratios", "0,0,4,128"},
      {"vocab_size", "512"},
      {"rope_theta", "10000"},
      {"rms_norm_eps", "1e-06"},
      {"layer_types", "sliding_attention,sliding_attention,compressed_sparse_attention,heavily_compressed_attention"},
      {"rope_scaling.type", "default"}};
  for (const auto& [name, value] : expected) EXPECT_EQ(model->get_rt_info<std::string>("dsv4", "config", name), value) << name;
  EXPECT_FALSE(model->has_rt_info("dsv4", "config", "max_position_embeddings")) << "a limit, which users may change";
}

}  // namespace
}  // namespace dsv4
