// Op Linear in a model that the CPU plugin runs, against plain loops in double.
#include "ops/linear/linear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/runtime/core.hpp"
#include "ops/weights.h"

namespace dsv4::ops {
namespace {

using testing_support::MatrixKind;
using testing_support::random_matrix;
using testing_support::RandomMatrix;

/// The tensors of a matrix as the converter writes them.
ov::OutputVector constants_of(const RandomMatrix& w) {
  using ov::op::v0::Constant;
  const PackedMatrix& m = w.matrix;
  static const ov::element::Type kTypes[] = {ov::element::f32, ov::element::f16, ov::element::bf16,   ov::element::u8,    ov::element::i8,
                                             ov::element::u4,  ov::element::i4,  ov::element::f4e2m1, ov::element::f8e4m3};
  const ov::element::Type type = kTypes[static_cast<int>(m.type)];
  const auto rows = static_cast<size_t>(m.rows), cols = static_cast<size_t>(m.cols), group = static_cast<size_t>(m.group);
  ov::Shape codes = {rows, cols}, scales = {rows, 1};
  if (m.group != 0 && m.group != m.cols) {
    codes = {rows, cols / group, group};
    scales = {rows, cols / group, 1};
  }
  if (m.type == NumberFormat::kF8E4M3) {
    const auto block = static_cast<size_t>(m.group_rows);
    codes = {rows / block, block, cols / group, group};
    scales = {rows / block, 1, cols / group, 1};
  }
  ov::OutputVector nodes = {std::make_shared<Constant>(type, codes, m.codes)};
  const auto scale_type = m.scale == NumberFormat::kF8E8M0 ? ov::element::f8e8m0
                          : m.scale == NumberFormat::kF32  ? ov::element::f32
                                                           : ov::element::f16;
  if (m.scales) nodes.push_back(std::make_shared<Constant>(scale_type, scales, m.scales));
  if (m.zero_points) nodes.push_back(std::make_shared<Constant>(type, scales, m.zero_points));
  return nodes;
}

std::shared_ptr<ov::Model> linear_model(const RandomMatrix& w, ActivationRounding mode, const ov::PartialShape& shape) {
  const auto x = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, shape);
  WeightInputs weight;
  weight.add(constants_of(w));
  return std::make_shared<ov::Model>(ov::OutputVector{std::make_shared<Linear>(x, weight, mode)}, ov::ParameterVector{x});
}

std::vector<MatrixKind> kinds() {
  using enum NumberFormat;
  // Zero points that begin at a byte, as those of a whole tensor do.
  return {{kF32, 12, 40, 0, false},        {kF16, 12, 40, 0, false},
          {kBF16, 12, 40, 0, false},       {kU8, 12, 64, 64, true},
          {kI8, 12, 64, 32, false},        {kU4, 13, 96, 32, false},
          {kI4, 13, 96, 96, false},        {kF4E2M1, 13, 96, 32, false},
          {kF8E4M3, 12, 96, 32, false, 4}, {kF8E4M3, 14, 96, 96, false, 7, true}};
}

void expect_products(const RandomMatrix& w, const ov::Tensor& x, const ov::Tensor& y, double bound) {
  const PackedMatrix& m = w.matrix;
  const auto tokens = static_cast<int64_t>(x.get_shape()[0]);
  ASSERT_EQ(y.get_shape(), (ov::Shape{x.get_shape()[0], static_cast<size_t>(m.rows)}));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < m.rows; ++r) {
      double expected = 0.0, magnitude = 0.0;
      for (int64_t c = 0; c < m.cols; ++c) {
        const double product = w.values[static_cast<size_t>(r * m.cols + c)] * static_cast<double>(x.data<const float>()[t * m.cols + c]);
        expected += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(static_cast<double>(y.data<const float>()[t * m.rows + r]), expected, bound * magnitude)
          << "token " << t << ", row " << r;
    }
  }
}

TEST(Linear, RunsInAModelOnTheCpu) {
  ov::Core core;
  for (const MatrixKind& kind : kinds()) {
    for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
      SCOPED_TRACE(kind.name());
      const RandomMatrix w = random_matrix(kind);
      auto compiled = core.compile_model(linear_model(w, mode, {-1, kind.cols}), "CPU");
      ov::InferRequest request = compiled.create_infer_request();
      for (const size_t tokens : {size_t{1}, size_t{0}, size_t{9}, size_t{2}}) {
        ov::Tensor x(ov::element::f32, {tokens, static_cast<size_t>(kind.cols)});
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        std::generate_n(x.data<float>(), x.get_size(), [&] { return normal(random); });
        request.set_input_tensor(x);
        request.infer();
        // Codes are at most half a step of largest/127 away from their values: about 1 % of the products' magnitudes.
        const bool rounded = mode == ActivationRounding::kInt8 && kind.type != NumberFormat::kF8E4M3;
        expect_products(w, x, request.get_output_tensor(), rounded ? 0.012 : 1e-5);
      }
    }
  }
}

TEST(Linear, RoundsActivationsInInt8Alone) {
  const RandomMatrix w = random_matrix({NumberFormat::kU8, 12, 64, 64, true});
  ov::Core core;
  std::vector<float> results[2];
  for (const ActivationRounding mode : {ActivationRounding::kF32, ActivationRounding::kInt8}) {
    auto request = core.compile_model(linear_model(w, mode, {1, 64}), "CPU").create_infer_request();
    ov::Tensor x(ov::element::f32, {1, 64});
    for (size_t i = 0; i < 64; ++i) x.data<float>()[i] = std::sin(static_cast<float>(i));
    request.set_input_tensor(x);
    request.infer();
    const ov::Tensor y = request.get_output_tensor();
    results[mode == ActivationRounding::kInt8].assign(y.data<float>(), y.data<float>() + y.get_size());
  }
  EXPECT_NE(results[0], results[1]);
}

TEST(Linear, KeepsItsAttributesInAClone) {
  const RandomMatrix w = random_matrix({NumberFormat::kU4, 4, 64, 32, false});
  const auto model = linear_model(w, ActivationRounding::kInt8, {-1, 64});
  const auto clone = model->clone();
  EXPECT_EQ(clone->output(0).get_partial_shape(), (ov::PartialShape{-1, 4}));
  ov::Core core;
  ov::Tensor x(ov::element::f32, {1, 64});
  for (size_t i = 0; i < 64; ++i) x.data<float>()[i] = std::cos(static_cast<float>(i));
  std::vector<float> results[2];
  for (const auto& one : {model, clone}) {
    auto request = core.compile_model(one, "CPU").create_infer_request();
    request.set_input_tensor(x);
    request.infer();
    const ov::Tensor y = request.get_output_tensor();
    results[one == clone].assign(y.data<float>(), y.data<float>() + 4);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Linear, RefusesOtherInputs) {
  const RandomMatrix w = random_matrix({NumberFormat::kU4, 4, 64, 32, false});
  for (const auto& [type, shape] : {std::pair<ov::element::Type, ov::PartialShape>{ov::element::f16, {-1, 64}},
                                    {ov::element::f32, {-1, 63}},
                                    {ov::element::f32, {64}},
                                    {ov::element::f32, {1, 1, 64}}}) {
    const auto x = std::make_shared<ov::op::v0::Parameter>(type, shape);
    WeightInputs weight;
    weight.add(constants_of(w));
    EXPECT_THROW(Linear(x, weight, ActivationRounding::kF32), ov::Exception) << type << shape;
    WeightInputs two = weight;
    two.add(constants_of(w));
    const auto right = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, 64});
    EXPECT_THROW(Linear(right, two, ActivationRounding::kF32), ov::Exception);
  }
}

}  // namespace
}  // namespace dsv4::ops
