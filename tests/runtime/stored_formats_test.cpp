// What is read off the constants of an IR: real folders, integer formats put in by hand, and what is refused.
#include "runtime/stored_formats.h"

#include "runtime/read_ir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/tensor_table.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/multiply.hpp"
#include "openvino/op/reshape.hpp"
#include "openvino/op/result.hpp"
#include "openvino/op/subtract.hpp"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

namespace op = ov::op;
using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;

class StoredFormatsOfToy : public testing::Test {
 protected:
  StoredFormatsOfToy() : folder_(convert_golden("toy", directory_.path())), model_(read_ir(folder_)), config_(read_config(folder_)) {}

  StoredFormats formats() const { return stored_formats(*model_, config_); }
  std::string error() const {
    return error_of([&] { formats(); });
  }

  std::shared_ptr<ov::Node> constant(const std::string& name) const {
    for (const auto& node : model_->get_ops()) {
      if (node->get_friendly_name() == name) return node;
    }
    ADD_FAILURE() << name << " is not in the model";
    return nullptr;
  }

  static std::shared_ptr<op::v0::Constant> named(const std::string& name, ov::element::Type type, const ov::Shape& shape) {
    const auto made = std::make_shared<op::v0::Constant>(type, shape, 1);
    made->set_friendly_name(name);
    return made;
  }

  /// NNCF's sub-graph in the place of the constant `name`: integers of this type; groups of `group`, or a scale a row for -1.
  void compress(const std::string& name, ov::element::Type type, int64_t group, bool with_zero_point,
                ov::element::Type scale = ov::element::f16) {
    const std::shared_ptr<ov::Node> old = constant(name);
    const ov::Shape shape = old->get_output_shape(0);
    ov::Shape codes = shape, one = shape;
    if (group > 0) {
      codes.back() /= static_cast<size_t>(group);
      codes.push_back(static_cast<size_t>(group));
      one = codes;
    }
    one.back() = 1;
    ov::Output<ov::Node> w = std::make_shared<op::v0::Convert>(named(name, type, codes), ov::element::f16);
    if (with_zero_point) {
      w = std::make_shared<op::v1::Subtract>(w,
                                             std::make_shared<op::v0::Convert>(named(name + "/zero_point", type, one), ov::element::f16));
    }
    w = std::make_shared<op::v1::Multiply>(w, std::make_shared<op::v0::Convert>(named(name + "/scale", scale, one), ov::element::f16));
    w = std::make_shared<op::v1::Reshape>(w, op::v0::Constant::create(ov::element::i64, {shape.size()}, shape), false);
    w = std::make_shared<op::v0::Convert>(w, ov::element::f32);
    old->set_friendly_name(name + "/old");
    old->output(0).replace(w);
  }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
  std::shared_ptr<ov::Model> model_;
  Config config_;
};

TEST_F(StoredFormatsOfToy, Float32KeepsEveryTensor) {
  const StoredFormats all = formats();
  size_t expected = 0;
  for (const TensorSpec& spec : tensor_table(config_)) {
    if (spec.published == NumberFormat::kI64) continue;
    ++expected;
    ASSERT_TRUE(all.contains(spec.name)) << spec.name;
    EXPECT_EQ(all.at(spec.name), StoredFormat{}) << spec.name;
  }
  EXPECT_EQ(all.size(), expected);
}

TEST_F(StoredFormatsOfToy, Float16IsReadOffTheConstants) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint("toy");
  options.output = directory_.path() / "fp16";
  options.compression.format = WeightFormat::kFp16;
  convert(options);
  const StoredFormats all = stored_formats(*read_ir(options.output), config_);
  for (const char* name :
       {"embed.weight", "layers.0.attn.wo_a.weight", "layers.3.ffn.experts.7.w2.weight", "layers.1.ffn.experts.0.w3.weight"}) {
    EXPECT_EQ(all.at(name), (StoredFormat{NumberFormat::kF16, -1})) << name;
  }
  for (const char* name : {"norm.weight", "layers.0.hc_attn_fn", "layers.0.attn.attn_sink", "layers.0.ffn.gate.bias"}) {
    EXPECT_EQ(all.at(name), StoredFormat{}) << name;
  }
}

TEST_F(StoredFormatsOfToy, IntegersOfAMatrix) {
  compress("layers.0.attn.wq_a.weight", ov::element::u4, 32, true);
  compress("layers.0.attn.wq_b.weight", ov::element::i4, -1, false);
  compress("layers.1.attn.wq_a.weight", ov::element::u8, -1, true);
  compress("layers.1.attn.wq_b.weight", ov::element::i8, 64, false);
  const StoredFormats all = formats();
  EXPECT_EQ(all.at("layers.0.attn.wq_a.weight"), (StoredFormat{NumberFormat::kU4, 32}));
  EXPECT_EQ(all.at("layers.0.attn.wq_b.weight"), (StoredFormat{NumberFormat::kI4, -1}));
  EXPECT_EQ(all.at("layers.1.attn.wq_a.weight"), (StoredFormat{NumberFormat::kU8, -1}));
  EXPECT_EQ(all.at("layers.1.attn.wq_b.weight"), (StoredFormat{NumberFormat::kI8, 64}));
  EXPECT_EQ(all.at("layers.0.attn.wkv.weight"), StoredFormat{});
}

TEST_F(StoredFormatsOfToy, AStackGivesEachOfItsExpertsItsFormat) {
  compress("layers.2.ffn.experts.w1w3.weight", ov::element::i4, 32, false);
  compress("layers.2.ffn.experts.w2.weight", ov::element::f4e2m1, 32, false, ov::element::f8e8m0);
  compress("layers.3.ffn.experts.w2.weight", ov::element::u8, -1, true);
  const StoredFormats all = formats();
  for (int64_t e = 0; e < config_.n_routed_experts; ++e) {
    const std::string expert = concat("layers.2.ffn.experts.", e, ".");
    EXPECT_EQ(all.at(expert + "w1.weight"), (StoredFormat{NumberFormat::kI4, 32}));
    EXPECT_EQ(all.at(expert + "w3.weight"), (StoredFormat{NumberFormat::kI4, 32}));
    EXPECT_EQ(all.at(expert + "w2.weight").type, NumberFormat::kF4E2M1);
    EXPECT_EQ(all.at(concat("layers.3.ffn.experts.", e, ".w2.weight")), (StoredFormat{NumberFormat::kU8, -1}));
    EXPECT_EQ(all.at(concat("layers.3.ffn.experts.", e, ".w1.weight")), StoredFormat{});
  }
  EXPECT_EQ(all.at("layers.2.ffn.shared_experts.w2.weight"), StoredFormat{});
}

// `--experts gather` declares 4-bit stacks as bytes; what they hold follows from the constants beside them.
TEST_F(StoredFormatsOfToy, AStackOfBytesIsTheFourBitTypeThatItsScalesTell) {
  const std::string down = "layers.1.ffn.experts.w2.weight", gate_up = "layers.1.ffn.experts.w1w3.weight";  // [8,128,64], [8,128,128]
  const auto declare = [&](const std::string& name, const ov::Shape& shape, const ov::Shape& scale, ov::element::Type scale_type,
                           const ov::Shape& zero_point) {
    constant(name)->set_friendly_name("old");
    model_->add_results({std::make_shared<op::v0::Result>(named(name, ov::element::u8, shape)),
                         std::make_shared<op::v0::Result>(named(name + "/scale", scale_type, scale))});
    if (!zero_point.empty())
      model_->add_results({std::make_shared<op::v0::Result>(named(name + "/zero_point", ov::element::u8, zero_point))});
  };
  declare(down, {8, 128 * 64 / 2}, {8, 128, 2, 1}, ov::element::f16, {8, 128});
  declare(gate_up, {8, 128 * 128 / 2}, {8, 128, 1}, ov::element::f16, {});
  declare("layers.2.ffn.experts.w2.weight", {8, 128 * 64 / 2}, {8, 128 * 2}, ov::element::u8, {});
  const StoredFormats all = formats();
  EXPECT_EQ(all.at("layers.1.ffn.experts.3.w2.weight"), (StoredFormat{NumberFormat::kU4, 32}));
  EXPECT_EQ(all.at("layers.1.ffn.experts.3.w1.weight"), (StoredFormat{NumberFormat::kI4, -1}));
  EXPECT_EQ(all.at("layers.1.ffn.experts.3.w3.weight"), (StoredFormat{NumberFormat::kI4, -1}));
  EXPECT_EQ(all.at("layers.2.ffn.experts.0.w2.weight").type, NumberFormat::kF4E2M1);

  declare("layers.3.ffn.experts.w2.weight", {8, 128 * 64}, {8, 128, 2, 1}, ov::element::f16, {});
  EXPECT_THAT(error(), AllOf(HasSubstr("layers.3.ffn.experts.w2.weight"), HasSubstr("half a byte")));
}

TEST_F(StoredFormatsOfToy, RowGroupsOfOneTensorMayDiffer) {
  const std::string name = "layers.0.attn.wo_a.weight";
  compress(name + "/rows.0", ov::element::u4, 32, true);
  const StoredFormats apart = formats();
  EXPECT_FALSE(apart.contains(name));
  EXPECT_EQ(apart.at(name + "/rows.0"), (StoredFormat{NumberFormat::kU4, 32}));
  EXPECT_EQ(apart.at(name + "/rows.1"), (StoredFormat{NumberFormat::kF32, -1}));
  compress(name + "/rows.1", ov::element::u4, 32, true);
  EXPECT_EQ(formats().at(name), (StoredFormat{NumberFormat::kU4, 32}));
  EXPECT_FALSE(formats().contains(name + "/rows.0"));
}

TEST_F(StoredFormatsOfToy, AMissingWeightIsNamed) {
  constant("layers.0.attn.wq_a.weight")->set_friendly_name("elsewhere");
  EXPECT_THAT(error(), AllOf(HasSubstr("layers.0.attn.wq_a.weight"), HasSubstr("not there")));
}

TEST_F(StoredFormatsOfToy, TypesThatNoConversionWritesAreRefused) {
  const std::string name = "layers.0.attn.wq_a.weight";
  for (const auto type : {ov::element::i32, ov::element::u2, ov::element::f8e5m2}) {
    model_ = read_ir(folder_);
    compress(name, type, -1, false);
    EXPECT_THAT(error(), AllOf(HasSubstr(name), HasSubstr(type.to_string())));
  }
}

TEST_F(StoredFormatsOfToy, AScaleAndAZeroPointBelongToEachIntegerType) {
  const std::string name = "layers.0.attn.wq_a.weight";
  compress(name, ov::element::u4, 32, false);
  EXPECT_THAT(error(), HasSubstr(name + "/zero_point"));

  model_ = read_ir(folder_);
  compress(name, ov::element::i4, 32, true);
  EXPECT_THAT(error(), AllOf(HasSubstr(name + "/zero_point"), HasSubstr("symmetric")));

  model_ = read_ir(folder_);
  compress(name, ov::element::i8, -1, false, ov::element::f32);
  EXPECT_THAT(error(), AllOf(HasSubstr(name + "/scale"), HasSubstr("f32"), HasSubstr("f16")));

  model_ = read_ir(folder_);
  compress(name, ov::element::f4e2m1, 32, false);
  EXPECT_THAT(error(), AllOf(HasSubstr(name + "/scale"), HasSubstr("f8e8m0")));

  model_ = read_ir(folder_);
  compress(name, ov::element::i8, -1, false);
  constant(name + "/scale")->set_friendly_name("elsewhere");
  EXPECT_THAT(error(), HasSubstr(name + "/scale"));
}

// What OpenVINO's CPU plugin would compile without a look: dimensions in another order divide by zero there.
TEST_F(StoredFormatsOfToy, ScalesAndZeroPointsOfOtherShapesAreRefused) {
  const std::string name = "layers.0.attn.wq_a.weight";  // [64,128]: codes [64,4,32], beside them [64,4,1]
  compress(name, ov::element::u4, 32, true);
  check_weights(*model_, config_);
  for (const char* suffix : {"/scale", "/zero_point"}) {
    const ov::element::Type type = suffix == std::string("/scale") ? ov::element::f16 : ov::element::u4;
    for (const ov::Shape& shape : {ov::Shape{1, 4, 64}, ov::Shape{64, 1, 4}, ov::Shape{64, 4}, ov::Shape{64, 4, 32}, ov::Shape{},
                                   ov::Shape{1}, ov::Shape{0, 4, 1}}) {
      model_ = read_ir(folder_);
      compress(name, ov::element::u4, 32, true);
      constant(name + suffix)->set_friendly_name("elsewhere");
      model_->add_results({std::make_shared<op::v0::Result>(named(name + suffix, type, shape))});
      EXPECT_THAT(error_of([&] { check_weights(*model_, config_); }), AllOf(HasSubstr(name + suffix), HasSubstr("[64,4,1]")))
          << shape.to_string();
    }
  }
}

TEST_F(StoredFormatsOfToy, WeightsOfOtherSizesAreRefused) {
  const auto replaced = [&](const std::string& name, ov::element::Type type, const ov::Shape& shape) {
    model_ = read_ir(folder_);
    constant(name)->set_friendly_name("elsewhere");
    model_->add_results({std::make_shared<op::v0::Result>(named(name, type, shape))});
    return error_of([&] { check_weights(*model_, config_); });
  };
  EXPECT_THAT(replaced("norm.weight", ov::element::f32, {64}), AllOf(HasSubstr("norm.weight"), HasSubstr("[128]")));
  EXPECT_THAT(replaced("layers.0.attn.wq_a.weight", ov::element::f32, {128, 64}), HasSubstr("layers.0.attn.wq_a.weight"));
  EXPECT_THAT(replaced("layers.0.attn.wo_a.weight/rows.1", ov::element::f32, {1, 1}), HasSubstr("layers.0.attn.wo_a.weight/rows.1"));
  EXPECT_THAT(replaced("layers.1.ffn.experts.w2.weight", ov::element::f32, {4, 128, 64}), HasSubstr("layers.1.ffn.experts.w2.weight"));
  EXPECT_THAT(replaced("layers.1.ffn.experts.w2.weight", ov::element::f32, {8, 64, 128}), HasSubstr("layers.1.ffn.experts.w2.weight"));
}

TEST_F(StoredFormatsOfToy, ShapesOfAnotherLayoutAreRefused) {
  const std::string name = "layers.0.attn.wq_a.weight";  // [64,128]
  for (const ov::Shape& shape : {ov::Shape{64, 64}, ov::Shape{64 * 128}, ov::Shape{64, 4, 16}, ov::Shape{64, 2, 2, 32}}) {
    model_ = read_ir(folder_);
    compress(name, ov::element::i8, -1, false);
    const auto other = named(name, ov::element::u8, shape);
    constant(name)->set_friendly_name("elsewhere");
    model_->add_results({std::make_shared<op::v0::Result>(other)});
    EXPECT_THAT(error(), AllOf(HasSubstr(name), HasSubstr("128"))) << shape.to_string();
  }
}

}  // namespace
}  // namespace dsv4
