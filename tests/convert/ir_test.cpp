// The IR of a graph whose weights lie elsewhere: constants where they say, those of the graph behind them, OpenVINO reads the whole.
#include "convert/ir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "convert/placeholders.h"
#include "openvino/core/model.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/concat.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/matmul.hpp"
#include "openvino/op/multiply.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/result.hpp"
#include "openvino/runtime/core.hpp"
#include "support/files.h"
#include "support/ir_scan.h"

namespace dsv4 {
namespace {

namespace op = ov::op;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace testing_support;

/// The plan of the toy: a small model's constants of every kind.
StoragePlan toy_plan(WeightFormat format) {
  const Config config = read_config(std::filesystem::path(DSV4_TEST_DATA) / "goldens/toy");
  std::vector<WeightUnit> units = weight_units(config, tensor_table(config));
  const std::vector<StoredFormat> forms = choose_forms(units, {.format = format, .group_size = 64}, [](const WeightUnit&) { return 0.0f; });
  return plan_storage(std::move(units), forms);
}

/// x -> ((x * w^T) + 3 graph constants) for a matrix of the plan.
std::shared_ptr<ov::Model> small_model(PlaceholderWeights& weights) {
  const auto x = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, 128});
  const ov::Output<ov::Node> norm = weights.exact("norm.weight");                  // [128]
  const ov::Output<ov::Node> matrix = weights.matrix("layers.0.attn.wkv.weight");  // [32,128]
  const auto scaled = std::make_shared<op::v1::Multiply>(x, norm);
  const auto product = std::make_shared<op::v0::MatMul>(scaled, matrix, false, true);
  const auto one = op::v0::Constant::create(ov::element::f32, {1}, {1.5f});
  const auto many = std::make_shared<op::v0::Constant>(ov::element::f32, ov::Shape{32}, std::vector<float>(32, 0.25f));
  one->set_friendly_name("graph/one");
  many->set_friendly_name("graph/many");
  const auto sum = std::make_shared<op::v1::Add>(std::make_shared<op::v1::Add>(product, one), many);
  const auto result = std::make_shared<op::v0::Result>(sum);
  return std::make_shared<ov::Model>(ov::ResultVector{result}, ov::ParameterVector{x}, "small");
}

class Ir : public testing::TestWithParam<WeightFormat> {};

TEST_P(Ir, PutsConstantsWhereThePlanSays) {
  const StoragePlan plan = toy_plan(GetParam());
  PlaceholderWeights weights(plan);
  const uint64_t behind = (plan.bytes + 63) / 64 * 64;
  const IrText ir = serialize_ir(small_model(weights), behind);
  EXPECT_EQ(ir.xml.find("StoredConstant"), std::string::npos);

  const auto constants = scan_constants(ir.xml);
  for (const char* name : {"norm.weight", "layers.0.attn.wkv.weight"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(constants.contains(name));
    const IrConstant& constant = constants.at(name);
    const PlannedConstant& planned = plan.at(name).values;
    EXPECT_EQ(constant.offset, planned.offset);
    EXPECT_EQ(constant.bytes, planned.bytes);
    EXPECT_EQ(constant.type, planned.type.to_string());
    EXPECT_EQ(std::vector<size_t>(constant.shape.begin(), constant.shape.end()),
              std::vector<size_t>(planned.shape.begin(), planned.shape.end()));
  }
  for (const auto& [name, value] : {std::pair<const char*, float>{"graph/one", 1.5f}, {"graph/many", 0.25f}}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(constants.contains(name));
    const IrConstant& constant = constants.at(name);
    ASSERT_GE(constant.offset, behind);
    ASSERT_LE(constant.offset - behind + constant.bytes, ir.small_constants.size());
    for (uint64_t at = 0; at < constant.bytes; at += sizeof(float)) {
      float stored = 0.0f;
      std::memcpy(&stored, ir.small_constants.data() + (constant.offset - behind) + at, sizeof stored);
      EXPECT_EQ(stored, value);
    }
  }
}

TEST_P(Ir, IsReadByOpenVinoWithItsBin) {
  const StoragePlan plan = toy_plan(GetParam());
  PlaceholderWeights weights(plan);
  const uint64_t behind = (plan.bytes + 63) / 64 * 64;
  const IrText ir = serialize_ir(small_model(weights), behind);
  ov::Tensor bin(ov::element::u8, {behind + ir.small_constants.size()});
  auto* bytes = static_cast<uint8_t*>(bin.data());
  std::memset(bytes, 0xFF, bin.get_size());  // NaN wherever nothing is meant to be read
  std::memcpy(bytes + behind, ir.small_constants.data(), ir.small_constants.size());
  const PlannedConstant &norm = plan.at("norm.weight").values, &matrix = plan.at("layers.0.attn.wkv.weight").values;
  for (size_t i = 0; i < 128; ++i) reinterpret_cast<float*>(bytes + norm.offset)[i] = i % 2 == 0 ? 1.0f : 2.0f;
  for (size_t i = 0; i < 32 * 128; ++i) {
    const float value = static_cast<float>(i / 128) * 0.5f - 4.0f;  // all of a row equal
    if (GetParam() == WeightFormat::kFp16) {
      reinterpret_cast<ov::float16*>(bytes + matrix.offset)[i] = ov::float16(value);
    } else {
      reinterpret_cast<float*>(bytes + matrix.offset)[i] = value;
    }
  }
  ov::Core core;
  ov::InferRequest request =
      core.compile_model(core.read_model(ir.xml, bin), "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  ov::Tensor x(ov::element::f32, {1, 128});
  std::fill_n(x.data<float>(), 128, 1.0f);
  request.set_input_tensor(x);
  request.infer();
  const float* y = request.get_output_tensor().data<const float>();
  for (size_t o = 0; o < 32; ++o) EXPECT_EQ(y[o], (static_cast<float>(o) * 0.5f - 4.0f) * (64.0f + 128.0f) + 1.75f) << o;
}

INSTANTIATE_TEST_SUITE_P(Formats, Ir, testing::Values(WeightFormat::kFp32, WeightFormat::kFp16),
                         [](const testing::TestParamInfo<WeightFormat>& p) { return weight_format_name(p.param); });

TEST(Ir, MarksDecompressionOfHalfPrecisionWeights) {
  const StoragePlan plan = toy_plan(WeightFormat::kFp16);
  PlaceholderWeights weights(plan);
  const IrText ir = serialize_ir(small_model(weights), plan.bytes);
  ov::Tensor bin(ov::element::u8, {plan.bytes + ir.small_constants.size()});
  std::memset(bin.data(), 0, bin.get_size());
  size_t marked = 0;
  for (const auto& node : ov::Core().read_model(ir.xml, bin)->get_ops()) {
    if (!ov::is_type<op::v0::Convert>(node)) continue;
    EXPECT_EQ(node->get_input_node_ptr(0)->get_friendly_name(), "layers.0.attn.wkv.weight");
    for (const auto& [key, value] : node->get_rt_info()) marked += key.find("decompression") != std::string::npos;
  }
  EXPECT_EQ(marked, 1u);
}

/// Fills the constants of "layers.0.attn.wkv.weight" ([32,128], groups of 64) with codes, zero points and scales that differ by place, and returns
/// the weights that they stand for.
std::vector<double> fill_integers(const PlannedWeight& weight, uint8_t* bin) {
  const bool asymmetric = weight.zero_points.bytes > 0, nibbles = weight.values.type.bitwidth() == 4;
  const size_t group = static_cast<size_t>(weight.group()), groups = 32 * 128 / group;
  const auto put = [&](const PlannedConstant& constant, size_t index, int value) {
    uint8_t& byte = bin[constant.offset + (nibbles ? index / 2 : index)];
    if (!nibbles) {
      byte = static_cast<uint8_t>(value);
    } else {
      byte = static_cast<uint8_t>(index % 2 == 0 ? (byte & 0xF0) | (value & 15) : (byte & 0x0F) | (value & 15) << 4);
    }
  };
  std::vector<double> weights(32 * 128);
  for (size_t g = 0; g < groups; ++g) {
    const int zero = asymmetric ? static_cast<int>(g * 7 % 16) : 0;
    const ov::float16 scale(0.001f * static_cast<float>(g + 1));  // no power of two: rounding to float16 on the way would show
    if (asymmetric) put(weight.zero_points, g, zero);
    reinterpret_cast<ov::float16*>(bin + weight.scales.offset)[g] = scale;
    for (size_t i = g * group; i < (g + 1) * group; ++i) {
      const int code = static_cast<int>((i * 11 + 3) % 16) - (asymmetric ? 0 : 8);
      put(weight.values, i, code);
      weights[i] = static_cast<double>(code - zero) * static_cast<double>(static_cast<float>(scale));
    }
  }
  return weights;
}

class IntegerIr : public testing::TestWithParam<CompressionOptions> {};

TEST_P(IntegerIr, ComputesWithCodeMinusZeroPointTimesScale) {
  const Config config = read_config(std::filesystem::path(DSV4_TEST_DATA) / "goldens/toy");
  std::vector<WeightUnit> units = weight_units(config, tensor_table(config));
  const std::vector<StoredFormat> forms = choose_forms(units, GetParam(), [](const WeightUnit&) { return 0.0f; });
  const StoragePlan plan = plan_storage(std::move(units), forms);
  PlaceholderWeights weights(plan);
  const auto x = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, 128});
  const auto product = std::make_shared<op::v0::MatMul>(x, weights.matrix("layers.0.attn.wkv.weight"), false, true);
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{product}, ov::ParameterVector{x});
  const uint64_t behind = (plan.bytes + 63) / 64 * 64;
  const IrText ir = serialize_ir(model, behind);
  ov::Tensor bin(ov::element::u8, {behind + ir.small_constants.size()});
  auto* bytes = static_cast<uint8_t*>(bin.data());
  std::memset(bytes, 0, bin.get_size());
  std::memcpy(bytes + behind, ir.small_constants.data(), ir.small_constants.size());
  const std::vector<double> expected = fill_integers(plan.at("layers.0.attn.wkv.weight"), bytes);

  // Row i of the product with the identity is column i of the matrix.
  ov::Core core;
  ov::InferRequest request = core.compile_model(core.read_model(ir.xml, bin), "CPU", ov::hint::inference_precision(ov::element::f32),
                                                ov::hint::dynamic_quantization_group_size(0))
                                 .create_infer_request();
  ov::Tensor identity(ov::element::f32, {128, 128});
  std::fill_n(identity.data<float>(), 128 * 128, 0.0f);
  for (size_t i = 0; i < 128; ++i) identity.data<float>()[i * 128 + i] = 1.0f;
  request.set_input_tensor(identity);
  request.infer();
  const float* y = request.get_output_tensor().data<const float>();
  for (size_t o = 0; o < 32; ++o) {
    for (size_t i = 0; i < 128; ++i) {
      const double w = expected[o * 128 + i];
      ASSERT_NEAR(y[i * 32 + o], w, 1e-6 * std::abs(w)) << "row " << o << ", input " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, IntegerIr,
                         testing::Values(CompressionOptions{.format = WeightFormat::kInt4, .group_size = 64},
                                         CompressionOptions{.format = WeightFormat::kInt4, .symmetric = true, .group_size = 64},
                                         CompressionOptions{
                                             .format = WeightFormat::kInt4, .group_size = -1, .fallback = GroupSizeFallback::kAdjust},
                                         CompressionOptions{.format = WeightFormat::kInt8},
                                         CompressionOptions{.format = WeightFormat::kInt8, .symmetric = true}));

TEST(PlaceholderWeights, FindRowGroupsByTheirNames) {
  const StoragePlan plan = toy_plan(WeightFormat::kInt4);
  PlaceholderWeights weights(plan);
  const std::string name = "layers.0.attn.wo_a.weight";  // [64,64]: two groups of 32 rows
  ov::OutputVector groups = {weights.matrix_rows(name, 0, 2), weights.matrix_rows(name, 1, 2)};
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{std::make_shared<op::v0::Concat>(groups, 0)}, ov::ParameterVector{});
  const auto constants = scan_constants(serialize_ir(model, plan.bytes).xml);
  for (int64_t g = 0; g < 2; ++g) {
    const std::string rows = name + "/rows." + std::to_string(g);
    EXPECT_THAT(constants.at(rows).shape, ElementsAre(32, 1, 64));
    EXPECT_THAT(constants.at(rows + "/scale").shape, ElementsAre(32, 1, 1));
    EXPECT_THAT(constants.at(rows + "/zero_point").shape, ElementsAre(32, 1, 1));
    EXPECT_EQ(constants.at(rows).bytes, 32u * 64u / 2u);
    EXPECT_EQ(constants.at(rows).offset, plan.at(rows).values.offset);
  }
  EXPECT_THAT(error_of([&] { weights.matrix_rows(name, 7, 2); }), HasSubstr(name));
}

TEST(PlaceholderWeights, ReportWhatWasNotUsed) {
  const StoragePlan plan = toy_plan(WeightFormat::kFp32);
  PlaceholderWeights weights(plan);
  EXPECT_EQ(weights.unused().size(), plan.weights.size());
  weights.exact("norm.weight");
  weights.matrix("head.weight");
  const std::vector<std::string> unused = weights.unused();
  EXPECT_EQ(unused.size(), plan.weights.size() - 2);
  for (const std::string& name : unused) EXPECT_TRUE(name != "norm.weight" && name != "head.weight") << name;
}

TEST(PlaceholderWeights, RefuseUnknownNamesAndInexactWeights) {
  const StoragePlan plan = toy_plan(WeightFormat::kFp16);
  PlaceholderWeights weights(plan);
  EXPECT_THAT(error_of([&] { weights.matrix("layers.9.attn.wkv.weight"); }), HasSubstr("layers.9.attn.wkv.weight"));
  EXPECT_THAT(error_of([&] { weights.exact("head.weight"); }), HasSubstr("head.weight"));
}

}  // namespace
}  // namespace dsv4
