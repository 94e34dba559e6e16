// Picking matrices of a stored stack: every type's values .
#include "convert/gathered_stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/runtime/core.hpp"

namespace dsv4 {
namespace {

namespace op = ov::op;
using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kExperts = 5, kOut = 6, kGroups = 3, kGroup = 4;

/// A constant's bytes, and what they stand for.
struct Stored {
  ov::element::Type type;
  ov::Shape shape;
  std::vector<uint8_t> bytes;

  double operator[](size_t i) const {
    const int nibble = bytes[i / 2] >> (i % 2 * 4) & 15;  // the low nibble comes first
    if (type == ov::element::u4) return nibble;
    if (type == ov::element::i4) return nibble - (nibble & 8) * 2;
    if (type == ov::element::f4e2m1) {  // a sign, two bits of exponent (bias 1), one of mantissa
      const int exponent = nibble >> 1 & 3, mantissa = nibble & 1;
      const double magnitude = exponent == 0 ? 0.5 * mantissa : std::ldexp(1.0 + 0.5 * mantissa, exponent - 1);
      return (nibble & 8) != 0 ? -magnitude : magnitude;
    }
    if (type == ov::element::u8) return bytes[i];
    if (type == ov::element::i8) return static_cast<int8_t>(bytes[i]);
    if (type == ov::element::f8e8m0) return std::ldexp(1.0, bytes[i] - 127);
    if (type == ov::element::f16) {
      ov::float16 value;
      std::memcpy(&value, bytes.data() + 2 * i, 2);
      return value;
    }
    float value = 0.0f;
    std::memcpy(&value, bytes.data() + 4 * i, 4);
    return value;
  }

  StoredStack::Part part() const {
    const GatherView view = gather_view(type, shape, "stack");
    return {std::make_shared<op::v0::Constant>(view.type, view.shape, bytes.data()), type, shape};
  }
};

Stored stored(ov::element::Type type, const ov::Shape& shape, std::mt19937& random) {
  const size_t count = ov::shape_size(shape);
  Stored s{type, shape, std::vector<uint8_t>(count * type.bitwidth() / 8)};
  if (type == ov::element::f32) {
    for (size_t i = 0; i < count; ++i) {
      const float value = std::uniform_real_distribution<float>(-2.0f, 2.0f)(random);
      std::memcpy(s.bytes.data() + 4 * i, &value, 4);
    }
  } else if (type == ov::element::f16) {
    for (size_t i = 0; i < count; ++i) {
      const ov::float16 value(std::uniform_real_distribution<float>(-2.0f, 2.0f)(random));
      std::memcpy(s.bytes.data() + 2 * i, &value, 2);
    }
  } else {
    const bool exponent = type == ov::element::f8e8m0;  // near 1, so that products stay in range
    std::uniform_int_distribution<int> byte(exponent ? 110 : 0, exponent ? 140 : 255);
    for (uint8_t& b : s.bytes) b = static_cast<uint8_t>(byte(random));
  }
  return s;
}

struct Case {
  const char* name;
  ov::element::Type values, scales, zero_points;  // dynamic: not there
  bool grouped;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class GatheredStack : public testing::TestWithParam<Case> {};

TEST_P(GatheredStack, GivesThePickedMatrices) {
  const Case& c = GetParam();
  std::mt19937 random(7);
  const size_t in = kGroups * kGroup, groups = c.grouped ? kGroups : 1, group = in / groups;
  const ov::Shape whole = c.grouped ? ov::Shape{kExperts, kOut, kGroups, kGroup} : ov::Shape{kExperts, kOut, in};
  const ov::Shape each = c.grouped ? ov::Shape{kExperts, kOut, kGroups, 1} : ov::Shape{kExperts, kOut, 1};
  const Stored values = stored(c.values, whole, random);
  StoredStack stack = {values.part(), {}, {}};
  Stored scales, zero_points;
  const bool scaled = c.scales.is_static(), shifted = c.zero_points.is_static();
  if (scaled) {
    scales = stored(c.scales, each, random);
    stack.scales = scales.part();
  }
  if (shifted) {
    zero_points = stored(c.zero_points, each, random);
    stack.zero_points = zero_points.part();
  }

  const auto ids = std::make_shared<op::v0::Parameter>(ov::element::i32, ov::PartialShape{-1});
  const auto model = std::make_shared<ov::Model>(ov::OutputVector{gather_stack(stack, ids)}, ov::ParameterVector{ids});
  EXPECT_EQ(model->output().get_partial_shape(), (ov::PartialShape{-1, kOut, in}));
  ov::InferRequest request = ov::Core()
                                 .compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32), ov::inference_num_threads(2))
                                 .create_infer_request();
  for (const std::vector<int32_t>& picked : {std::vector<int32_t>{3}, {0}, {4, 0, 4}}) {
    ov::Tensor input(ov::element::i32, {picked.size()});
    std::copy(picked.begin(), picked.end(), input.data<int32_t>());
    request.set_input_tensor(input);
    request.infer();
    const ov::Tensor output = request.get_output_tensor();
    ASSERT_EQ(output.get_shape(), (ov::Shape{picked.size(), kOut, in}));
    for (size_t i = 0; i < output.get_size(); ++i) {
      const size_t row = static_cast<size_t>(picked[i / (kOut * in)]) * kOut + i / in % kOut, column = i % in;
      const size_t g = row * groups + column / group;
      const double expected = (values[row * in + column] - (shifted ? zero_points[g] : 0.0)) * (scaled ? scales[g] : 1.0);
      ASSERT_FLOAT_EQ(output.data<const float>()[i], static_cast<float>(expected)) << i;
    }
  }
}

const auto kNone = ov::element::dynamic;
INSTANTIATE_TEST_SUITE_P(Types, GatheredStack,
                         testing::Values(Case{"f32", ov::element::f32, kNone, kNone, false},
                                         Case{"f16", ov::element::f16, kNone, kNone, false},
                                         Case{"u8", ov::element::u8, ov::element::f16, ov::element::u8, false},
                                         Case{"i8", ov::element::i8, ov::element::f16, kNone, false},
                                         Case{"u8 grouped", ov::element::u8, ov::element::f16, ov::element::u8, true},
                                         Case{"u4", ov::element::u4, ov::element::f16, ov::element::u4, true},
                                         Case{"u4 per row", ov::element::u4, ov::element::f16, ov::element::u4, false},
                                         Case{"i4", ov::element::i4, ov::element::f16, kNone, true},
                                         Case{"f4e2m1", ov::element::f4e2m1, ov::element::f8e8m0, kNone, true}));

TEST(GatherView, DeclaresSmallTypesAsBytesAndLeavesOthers) {
  for (const ov::element::Type type : {ov::element::u4, ov::element::i4, ov::element::f4e2m1}) {
    const GatherView view = gather_view(type, {8, 6, 2, 32}, "w");
    EXPECT_EQ(view.type, ov::element::u8);
    EXPECT_EQ(view.shape, (ov::Shape{8, 192}));
  }
  EXPECT_EQ(gather_view(ov::element::f8e8m0, {8, 6, 2, 1}, "w").shape, (ov::Shape{8, 12}));
  EXPECT_EQ(gather_view(ov::element::i8, {8, 6, 64}, "w").shape, (ov::Shape{8, 6, 64}));
  EXPECT_EQ(gather_view(ov::element::f16, {8, 6, 64}, "w").type, ov::element::f16);
}

TEST(GatherView, RefusesExpertsThatBeginWithinAByte) {
  try {
    gather_view(ov::element::u4, {8, 3, 5, 1}, "layers.0.ffn.experts.w2.weight");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("layers.0.ffn.experts.w2.weight"), HasSubstr("15 values of type u4"), HasSubstr("grouped")));
  }
}

}  // namespace
}  // namespace dsv4
