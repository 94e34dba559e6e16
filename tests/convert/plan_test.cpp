// The layout of openvino_model.bin: everything placed once, aligned, without overlap, in the stated types.
#include "convert/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "checkpoint/cut.h"
#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
namespace fs = std::filesystem;

const fs::path kData = DSV4_TEST_DATA;

struct Model {
  const char* name;
  fs::path file;
  int64_t layers = -1;
};

void PrintTo(const Model& model, std::ostream* out) { *out << model.name; }

Config config_of(const Model& model) {
  const Config config = parse_config(read_file(model.file), model.name);
  return model.layers < 0 ? config : first_layers(config, model.layers);
}

class Plan : public testing::TestWithParam<Model> {
 protected:
  Plan() : config_(config_of(GetParam())), table_(tensor_table(config_)) {}

  const Config config_;
  const std::vector<TensorSpec> table_;
};

TEST_P(Plan, PlacesEveryTensorOnceAndNoOther) {
  const StoragePlan plan = plan_storage(config_, table_, WeightFormat::kFp16);
  std::map<std::string, int> placed;
  for (const PlannedConstant& constant : plan.constants) {
    for (const std::string& part : constant.parts) ++placed[part];
  }
  size_t expected = 0;
  for (const TensorSpec& spec : table_) {
    if (spec.mtp) {
      EXPECT_FALSE(placed.contains(spec.name)) << spec.name;
    } else {
      ++expected;
      EXPECT_EQ(placed[spec.name], 1) << spec.name;
    }
  }
  EXPECT_EQ(placed.size(), expected);
}

TEST_P(Plan, AlignsWithoutOverlapOrLargeHoles) {
  for (const WeightFormat format : {WeightFormat::kFp32, WeightFormat::kFp16}) {
    const StoragePlan plan = plan_storage(config_, table_, format);
    uint64_t end = 0;
    for (const PlannedConstant& constant : plan.constants) {
      const uint64_t alignment = constant.parts.size() > 1 ? 4096 : 64;
      EXPECT_EQ(constant.offset % alignment, 0u) << constant.name;
      EXPECT_GE(constant.offset, end) << constant.name << " overlaps the one before";
      EXPECT_LT(constant.offset - end, alignment) << constant.name << " leaves a hole";
      uint64_t bytes = constant.type.size();
      for (const size_t dim : constant.shape) bytes *= dim;
      EXPECT_EQ(constant.bytes, bytes) << constant.name;
      EXPECT_GT(constant.bytes, 0u) << constant.name;
      end = constant.offset + constant.bytes;
    }
    EXPECT_EQ(plan.bytes, end);
  }
}

TEST_P(Plan, FindsConstantsByName) {
  const StoragePlan plan = plan_storage(config_, table_, WeightFormat::kFp32);
  for (const PlannedConstant& constant : plan.constants) EXPECT_EQ(&plan.at(constant.name), &constant);
  EXPECT_THAT(error_of([&] { plan.at("layers.0.attn.nothing"); }), HasSubstr("layers.0.attn.nothing"));
}

TEST_P(Plan, StacksTheExpertsOfALayerInOrder) {
  const StoragePlan plan = plan_storage(config_, table_, WeightFormat::kFp16);
  const size_t e = static_cast<size_t>(config_.n_routed_experts), d = static_cast<size_t>(config_.hidden_size);
  const size_t i = static_cast<size_t>(config_.moe_intermediate_size);
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".ffn.experts.";
    const PlannedConstant& gate_up = plan.at(prefix + "w1w3.weight");
    const PlannedConstant& down = plan.at(prefix + "w2.weight");
    EXPECT_EQ(gate_up.shape, (ov::Shape{e, 2 * i, d}));
    EXPECT_EQ(down.shape, (ov::Shape{e, d, i}));
    EXPECT_EQ(gate_up.type, ov::element::f16);
    EXPECT_EQ(down.type, ov::element::f16);
    ASSERT_EQ(gate_up.parts.size(), 2 * e);
    ASSERT_EQ(down.parts.size(), e);
    for (size_t expert = 0; expert < e; ++expert) {
      const std::string name = prefix + std::to_string(expert);
      EXPECT_EQ(gate_up.parts[2 * expert], name + ".w1.weight");
      EXPECT_EQ(gate_up.parts[2 * expert + 1], name + ".w3.weight");
      EXPECT_EQ(down.parts[expert], name + ".w2.weight");
    }
  }
}

TEST_P(Plan, KeepsShapesAndChoosesTypesAsDocumented) {
  for (const WeightFormat format : {WeightFormat::kFp32, WeightFormat::kFp16}) {
    const StoragePlan plan = plan_storage(config_, table_, format);
    for (const TensorSpec& spec : table_) {
      if (spec.mtp || spec.name.find(".ffn.experts.") != std::string::npos) continue;
      const PlannedConstant& constant = plan.at(spec.name);
      EXPECT_EQ(constant.parts, std::vector<std::string>{spec.name});
      EXPECT_EQ(constant.shape, ov::Shape(spec.shape.begin(), spec.shape.end())) << spec.name;
      const bool norm = spec.name.ends_with("norm.weight");
      ov::element::Type expected = format == WeightFormat::kFp16 ? ov::element::f16 : ov::element::f32;
      if (spec.published == Published::kF32 || norm) expected = ov::element::f32;
      if (spec.published == Published::kI64) expected = ov::element::i32;
      EXPECT_EQ(constant.type, expected) << spec.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Plan,
                         testing::Values(Model{"Toy", kData / "goldens/toy/config.json"}, Model{"Hash", kData / "goldens/hash/config.json"},
                                         Model{"Flash", kData / "configs/deepseek-v4-flash.config.json"},
                                         Model{"Pro", kData / "configs/deepseek-v4-pro.config.json"},
                                         Model{"FlashFirstTwo", kData / "configs/deepseek-v4-flash.config.json", 2}),
                         [](const testing::TestParamInfo<Model>& p) { return p.param.name; });

TEST(PlanOfFlash, HasTheSizeOfItsParameters) {
  // Published: 284 billion parameters, of which the .bin holds all but the MTP block's.
  const Config config = parse_config(read_file(kData / "configs/deepseek-v4-flash.config.json"), "flash");
  const std::vector<TensorSpec> table = tensor_table(config);
  uint64_t parameters = 0;
  for (const TensorSpec& spec : table) {
    if (!spec.mtp) parameters += static_cast<uint64_t>(element_count(spec.shape));
  }
  const uint64_t fp32 = plan_storage(config, table, WeightFormat::kFp32).bytes,
                 fp16 = plan_storage(config, table, WeightFormat::kFp16).bytes;
  EXPECT_GE(fp32, 4 * parameters - 4 * 3 * 129280 * 6);  // hash tables: i32 for what is i64
  EXPECT_LE(fp32, 4 * parameters + (1u << 20));
  EXPECT_GT(fp16, 2 * parameters);
  EXPECT_LT(fp16, 2 * parameters + parameters / 50);  // the little that stays float32
}

TEST(PlanStorage, RefusesANameTwice) {
  const Config config = parse_config(read_file(kData / "goldens/toy/config.json"), "toy");
  std::vector<TensorSpec> table = tensor_table(config);
  table.push_back(table.front());
  EXPECT_THAT(error_of([&] { plan_storage(config, table, WeightFormat::kFp32); }), HasSubstr(table.front().name));
}

TEST(WeightFormat, IsParsedFromItsName) {
  EXPECT_EQ(parse_weight_format("fp32"), WeightFormat::kFp32);
  EXPECT_EQ(parse_weight_format("fp16"), WeightFormat::kFp16);
  for (const char* name : {"fp32", "fp16"}) EXPECT_EQ(weight_format_name(parse_weight_format(name)), name);
}

TEST(WeightFormat, IsRefusedAsWrongUsage) {
  for (const char* text : {"int8", "int4", "mxfp4", "FP16", "", "bf16", "fp16 "}) {
    try {
      parse_weight_format(text);
      ADD_FAILURE() << text << " was accepted";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("--weight-format " + std::string(text)), HasSubstr("fp32"), HasSubstr("fp16")));
    }
  }
}

}  // namespace
}  // namespace dsv4
