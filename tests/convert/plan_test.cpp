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

constexpr WeightFormat kFormats[] = {WeightFormat::kFp32, WeightFormat::kFp16, WeightFormat::kInt8, WeightFormat::kInt4,
                                     WeightFormat::kMxfp4};

StoragePlan plan_of(const Config& config, const std::vector<TensorSpec>& table, const CompressionOptions& options) {
  std::vector<WeightUnit> units = weight_units(config, table);
  const std::vector<StoredFormat> forms =
      choose_forms(units, options, [](const WeightUnit&) -> float { throw std::logic_error("asked for an error"); });
  return plan_storage(std::move(units), forms);
}

CompressionOptions format_options(WeightFormat format) {
  CompressionOptions options;
  options.format = format;
  options.fallback = GroupSizeFallback::kAdjust;
  return options;
}

/// Constants of a weight that take room in the .bin.
std::vector<const PlannedConstant*> constants_of(const PlannedWeight& weight) {
  std::vector<const PlannedConstant*> constants;
  for (const PlannedConstant* constant : {&weight.values, &weight.zero_points, &weight.scales}) {
    if (constant->bytes > 0) constants.push_back(constant);
  }
  return constants;
}

TEST_P(Plan, PlacesEveryRowOnceAndNoOther) {
  const StoragePlan plan = plan_of(config_, table_, format_options(WeightFormat::kInt8));
  std::map<std::string, int64_t> rows;  // placed so far: row groups of a tensor come in order
  for (const PlannedWeight& weight : plan.weights) {
    int64_t in_weight = 0;
    for (const WeightPart& part : weight.unit.parts) {
      EXPECT_EQ(part.row_begin, rows[part.tensor]) << part.tensor;
      EXPECT_GT(part.row_end, part.row_begin) << part.tensor;
      rows[part.tensor] = part.row_end;
      in_weight += part.row_end - part.row_begin;
    }
    EXPECT_EQ(in_weight, weight.unit.rows()) << weight.unit.name;
  }
  size_t expected = 0;
  for (const TensorSpec& spec : table_) {
    if (spec.mtp) {
      EXPECT_FALSE(rows.contains(spec.name)) << spec.name;
    } else {
      ++expected;
      EXPECT_EQ(rows[spec.name], spec.shape.size() < 2 ? 1 : spec.shape[0]) << spec.name;
    }
  }
  EXPECT_EQ(rows.size(), expected);
}

TEST_P(Plan, AlignsWithoutOverlapOrLargeHoles) {
  for (const WeightFormat format : kFormats) {
    SCOPED_TRACE(weight_format_name(format));
    const StoragePlan plan = plan_of(config_, table_, format_options(format));
    uint64_t end = 0;
    for (const PlannedWeight& weight : plan.weights) {
      for (const PlannedConstant* constant : constants_of(weight)) {
        const uint64_t alignment = constant == &weight.values && weight.unit.use == WeightUse::kExperts ? 4096 : 64;
        EXPECT_EQ(constant->offset % alignment, 0u) << weight.unit.name;
        EXPECT_GE(constant->offset, end) << weight.unit.name << " overlaps what is before";
        EXPECT_LT(constant->offset - end, alignment) << weight.unit.name << " leaves a hole";
        uint64_t bits = constant->type.bitwidth();
        for (const size_t dim : constant->shape) bits *= dim;
        EXPECT_EQ(constant->bytes, (bits + 7) / 8) << weight.unit.name;
        end = constant->offset + constant->bytes;
      }
    }
    EXPECT_EQ(plan.bytes, end);
  }
}

TEST_P(Plan, GroupsValuesAndTheirScales) {
  for (const WeightFormat format : kFormats) {
    SCOPED_TRACE(weight_format_name(format));
    const StoragePlan plan = plan_of(config_, table_, format_options(format));
    for (const PlannedWeight& weight : plan.weights) {
      SCOPED_TRACE(weight.unit.name);
      const ov::element::Type type = weight.values.type;
      const bool compressed = type == ov::element::u8 || type == ov::element::u4 || type == ov::element::f4e2m1;
      EXPECT_EQ(weight.scales.bytes > 0, compressed);
      EXPECT_EQ(weight.zero_points.bytes > 0, type == ov::element::u8 || type == ov::element::u4);
      ov::Shape expected = weight.unit.shape, scales = expected;
      const bool grouped = type == ov::element::u4 || type == ov::element::f4e2m1;
      if (grouped) {
        const size_t group = static_cast<size_t>(weight.group());
        expected.back() /= group;
        expected.push_back(group);
        scales = expected;
      }
      scales.back() = 1;
      EXPECT_EQ(weight.values.shape, expected);
      EXPECT_EQ(weight.scales.shape, compressed ? scales : ov::Shape{});
      if (type == ov::element::f4e2m1) {
        EXPECT_EQ(weight.group(), 32);
        EXPECT_EQ(weight.scales.type, ov::element::f8e8m0);
      } else if (compressed) {
        EXPECT_EQ(weight.scales.type, ov::element::f16);
        EXPECT_EQ(weight.zero_points.shape, scales);
        EXPECT_EQ(weight.zero_points.type, type);
      }
    }
  }
}

TEST_P(Plan, FindsWeightsByName) {
  const StoragePlan plan = plan_of(config_, table_, {});
  for (const PlannedWeight& weight : plan.weights) EXPECT_EQ(&plan.at(weight.unit.name), &weight);
  EXPECT_THAT(error_of([&] { plan.at("layers.0.attn.nothing"); }), HasSubstr("layers.0.attn.nothing"));
}

TEST_P(Plan, StacksTheExpertsOfALayerInOrder) {
  const StoragePlan plan = plan_of(config_, table_, format_options(WeightFormat::kFp16));
  const size_t e = static_cast<size_t>(config_.n_routed_experts), d = static_cast<size_t>(config_.hidden_size);
  const size_t i = static_cast<size_t>(config_.moe_intermediate_size);
  for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".ffn.experts.";
    const PlannedWeight& gate_up = plan.at(prefix + "w1w3.weight");
    const PlannedWeight& down = plan.at(prefix + "w2.weight");
    EXPECT_EQ(gate_up.values.shape, (ov::Shape{e, 2 * i, d}));
    EXPECT_EQ(down.values.shape, (ov::Shape{e, d, i}));
    EXPECT_EQ(gate_up.values.type, ov::element::f16);
    EXPECT_EQ(down.values.type, ov::element::f16);
    ASSERT_EQ(gate_up.unit.parts.size(), 2 * e);
    ASSERT_EQ(down.unit.parts.size(), e);
    for (size_t expert = 0; expert < e; ++expert) {
      const std::string name = prefix + std::to_string(expert);
      EXPECT_EQ(gate_up.unit.parts[2 * expert].tensor, name + ".w1.weight");
      EXPECT_EQ(gate_up.unit.parts[2 * expert + 1].tensor, name + ".w3.weight");
      EXPECT_EQ(down.unit.parts[expert].tensor, name + ".w2.weight");
    }
  }
}

TEST_P(Plan, KeepsShapesAndChoosesFloatTypesAsDocumented) {
  for (const WeightFormat format : {WeightFormat::kFp32, WeightFormat::kFp16}) {
    const StoragePlan plan = plan_of(config_, table_, format_options(format));
    for (const TensorSpec& spec : table_) {
      if (spec.mtp || spec.name.find(".ffn.experts.") != std::string::npos || spec.name.ends_with("wo_a.weight")) continue;
      const PlannedWeight& weight = plan.at(spec.name);
      EXPECT_EQ(weight.values.shape, ov::Shape(spec.shape.begin(), spec.shape.end())) << spec.name;
      const bool norm = spec.name.ends_with("norm.weight");
      ov::element::Type expected = format == WeightFormat::kFp16 ? ov::element::f16 : ov::element::f32;
      if (spec.published == NumberFormat::kF32 || norm) expected = ov::element::f32;
      if (spec.published == NumberFormat::kI64) expected = ov::element::i32;
      EXPECT_EQ(weight.values.type, expected) << spec.name;
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
  const uint64_t fp32 = plan_of(config, table, format_options(WeightFormat::kFp32)).bytes,
                 fp16 = plan_of(config, table, format_options(WeightFormat::kFp16)).bytes,
                 int4 = plan_of(config, table, format_options(WeightFormat::kInt4)).bytes,
                 mxfp4 = plan_of(config, table, format_options(WeightFormat::kMxfp4)).bytes;
  EXPECT_GE(fp32, 4 * parameters - 4 * 3 * 129280 * 6);  // hash tables: i32 for what is i64
  EXPECT_LE(fp32, 4 * parameters + (1u << 20));
  EXPECT_GT(fp16, 2 * parameters);
  EXPECT_LT(fp16, 2 * parameters + parameters / 50);  // the little that stays float32
  // 4.25 bits for INT4 in groups of 128 (code, scale, zero point: 4 + 20/128), as for published FP4 (4 + 8/32); 8 for the vocabulary's matrices.
  EXPECT_GT(int4, parameters / 2 + parameters / 100);
  EXPECT_LT(int4, parameters / 2 + parameters / 25);
  EXPECT_GT(mxfp4, parameters / 2 + parameters / 50);
  EXPECT_LT(mxfp4, parameters / 2 + parameters / 15);
  // INT4 in groups of 128: 4 bits and 20/128 for scale and zero point. Published FP4: 4 bits and 8/32. INT8 for the vocabulary, and for the rest of MXFP4.
  EXPECT_GT(int4, parameters * 415 / 800);
  EXPECT_LT(int4, parameters * 425 / 800);
  EXPECT_GT(mxfp4, parameters * 425 / 800);
  EXPECT_LT(mxfp4, parameters * 445 / 800);
}

TEST(PlanStorage, RefusesANameTwice) {
  const Config config = parse_config(read_file(kData / "goldens/toy/config.json"), "toy");
  std::vector<TensorSpec> table = tensor_table(config);
  table.push_back(table.front());
  EXPECT_THAT(error_of([&] { plan_of(config, table, {}); }), HasSubstr(table.front().name));
}

}  // namespace
}  // namespace dsv4
