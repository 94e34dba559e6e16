// What the tests of Embed, HyperConnect and Experts share: random weights of every type with their values in float64, and ways to run an op.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/result.hpp"
#include "openvino/runtime/core.hpp"
#include "ops/support/op_inputs.h"

namespace dsv4::ops::testing_blocks {

enum class Kind { kF32, kF16, kBF16, kU8, kI8, kU4, kI4, kF4E2M1, kF8E4M3 };

inline const std::vector<Kind> kAllKinds = {Kind::kF32, Kind::kF16, Kind::kBF16,   Kind::kU8,    Kind::kI8,
                                            Kind::kU4,  Kind::kI4,  Kind::kF4E2M1, Kind::kF8E4M3};

inline std::string name_of(Kind kind) {
  constexpr const char* names[] = {"f32", "f16", "bf16", "u8", "i8", "u4", "i4", "f4e2m1", "f8e4m3"};
  return names[static_cast<int>(kind)];
}

inline bool is_compressed(Kind kind) { return kind > Kind::kBF16; }

/// Whether products with int8 activations round them: FP8 and floats are multiplied in float32.
inline bool rounds_activations(Kind kind) { return is_compressed(kind) && kind != Kind::kF8E4M3; }

struct Weight {
  ov::OutputVector nodes;      ///< constants: codes, scales, zero points
  std::vector<double> values;  ///< [count*rows, cols]
  int64_t cols = 0;
  const double* row(int64_t r) const { return values.data() + r * cols; }
};

template <class T>
std::shared_ptr<ov::op::v0::Constant> constant(ov::element::Type type, const ov::Shape& shape, const std::vector<T>& bytes) {
  return std::make_shared<ov::op::v0::Constant>(type, shape, bytes.data());
}

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  double normal(double deviation) { return std::normal_distribution<double>(0.0, deviation)(generator_); }
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }

  std::vector<float> floats(int64_t n, double deviation) {
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = static_cast<float>(normal(deviation));
    return values;
  }

  /// Values of about `deviation`; a stack where count > 0. Groups of `group` columns for compressed kinds, one a row where it is 0.
  Weight weight(Kind kind, int64_t count, int64_t rows, int64_t cols, int64_t group, double deviation) {
    ov::Shape shape;
    if (count > 0) shape.push_back(static_cast<size_t>(count));
    shape.push_back(static_cast<size_t>(rows));
    const int64_t all = std::max<int64_t>(count, 1) * rows;
    Weight w;
    w.cols = cols;
    if (!is_compressed(kind)) {
      shape.push_back(static_cast<size_t>(cols));
      uncompressed(kind, shape, all * cols, deviation, w);
      return w;
    }
    const bool grouped = group > 0 && group < cols;
    if (kind == Kind::kF8E4M3) {
      fp8(count, rows, cols, grouped ? group : cols, deviation, w);
      return w;
    }
    if (grouped) {
      shape.insert(shape.end(), {static_cast<size_t>(cols / group), static_cast<size_t>(group)});
    } else {
      shape.push_back(static_cast<size_t>(cols));
    }
    compressed(kind, shape, all, cols, grouped ? group : cols, deviation, w);
    return w;
  }

  Weight exact(int64_t n, double middle, double deviation) {
    std::vector<float> values = floats(n, deviation);
    for (float& v : values) v += static_cast<float>(middle);
    Weight w;
    w.cols = n;
    w.values.assign(values.begin(), values.end());
    w.nodes = {constant(ov::element::f32, {static_cast<size_t>(n)}, values)};
    return w;
  }

 private:
  /// In blocks of up to 4 rows; scales in float32 and in powers of two by turns.
  void fp8(int64_t count, int64_t rows, int64_t cols, int64_t group, double deviation, Weight& w) {
    const int64_t together = rows % 4 == 0 ? 4 : rows % 2 == 0 ? 2 : 1, groups = cols / group, all = std::max<int64_t>(count, 1) * rows;
    const bool exponents_only = integer(0, 1) == 1;
    std::vector<uint8_t> codes(static_cast<size_t>(all * cols)), exponents;
    std::vector<float> scales;
    for (int64_t i = 0; i < all / together * groups; ++i) {
      exponents.push_back(static_cast<uint8_t>(127 + std::lround(std::log2(deviation)) - integer(4, 7)));
      scales.push_back(exponents_only ? std::exp2(static_cast<float>(exponents.back()) - 127.0f)
                                      : static_cast<float>(deviation * (0.01 + 0.01 * integer(0, 10))));
    }
    for (int64_t i = 0; i < all * cols; ++i) {
      const int number = integer(0, 0x6F), negative = integer(0, 1);  // up to 240: neither NaN nor far from the others
      codes[static_cast<size_t>(i)] = static_cast<uint8_t>(number | negative << 7);
      const int exponent = number >> 3, fraction = number & 7;
      const double magnitude = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
      const int64_t row = i / cols, g = row / together * groups + i % cols / group;
      w.values.push_back((negative ? -magnitude : magnitude) * static_cast<double>(scales[static_cast<size_t>(g)]));
    }
    const auto dim = [](int64_t n) { return static_cast<size_t>(n); };
    ov::Shape shape = {dim(rows / together), dim(together), dim(groups), dim(group)},
              scale_shape = {dim(rows / together), 1, dim(groups), 1};
    if (count > 0) {
      shape.insert(shape.begin(), dim(count));
      scale_shape.insert(scale_shape.begin(), dim(count));
    }
    w.nodes = {constant(ov::element::f8e4m3, shape, codes)};
    if (exponents_only) {
      w.nodes.push_back(constant(ov::element::f8e8m0, scale_shape, exponents));
    } else {
      w.nodes.push_back(constant(ov::element::f32, scale_shape, scales));
    }
  }

  void uncompressed(Kind kind, const ov::Shape& shape, int64_t n, double deviation, Weight& w) {
    const std::vector<float> values = floats(n, deviation);
    if (kind == Kind::kF32) {
      w.values.assign(values.begin(), values.end());
      w.nodes = {constant(ov::element::f32, shape, values)};
    } else if (kind == Kind::kF16) {
      const std::vector<ov::float16> rounded(values.begin(), values.end());
      for (const ov::float16 v : rounded) w.values.push_back(static_cast<float>(v));
      w.nodes = {constant(ov::element::f16, shape, rounded)};
    } else {
      const std::vector<ov::bfloat16> rounded(values.begin(), values.end());
      for (const ov::bfloat16 v : rounded) w.values.push_back(static_cast<float>(v));
      w.nodes = {constant(ov::element::bf16, shape, rounded)};
    }
  }

  void compressed(Kind kind, const ov::Shape& shape, int64_t rows, int64_t cols, int64_t group, double deviation, Weight& w) {
    const bool four_bits = kind >= Kind::kU4, asymmetric = kind == Kind::kU8 || kind == Kind::kU4;
    const int levels = four_bits ? 16 : 256;
    const int64_t groups = rows * cols / group;
    std::vector<int> codes(static_cast<size_t>(rows * cols)), zero_points(static_cast<size_t>(groups));
    for (int& c : codes) c = integer(0, levels - 1);
    for (int& z : zero_points) z = integer(levels / 4, levels * 3 / 4);
    std::vector<ov::float16> scales;
    std::vector<uint8_t> exponents;
    for (int64_t g = 0; g < groups; ++g) {
      scales.emplace_back(static_cast<float>(deviation * (0.5 + 0.1 * integer(0, 10)) / levels * 3.0));
      exponents.push_back(static_cast<uint8_t>(127 + static_cast<int>(std::lround(std::log2(deviation))) - integer(1, 3)));
    }
    constexpr double fp4[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
    for (size_t i = 0; i < codes.size(); ++i) {
      const size_t g = i / static_cast<size_t>(group);
      const int code = codes[i];
      double value = 0.0, scale = static_cast<float>(scales[g]);
      if (kind == Kind::kF4E2M1) {
        value = (code >= 8 ? -1.0 : 1.0) * fp4[code % 8];
        scale = std::exp2(exponents[g] - 127);
      } else if (asymmetric) {
        value = code - zero_points[g];
      } else {
        value = code >= levels / 2 ? code - levels : code;  // two's complement
      }
      w.values.push_back(value * scale);
    }
    constexpr auto types = std::to_array({&ov::element::u8, &ov::element::i8, &ov::element::u4, &ov::element::i4, &ov::element::f4e2m1});
    const ov::element::Type type = *types[static_cast<size_t>(kind) - static_cast<size_t>(Kind::kU8)];
    ov::Shape scale_shape = shape;
    scale_shape.back() = 1;
    w.nodes = {constant(type, shape, packed(codes, four_bits))};
    if (kind == Kind::kF4E2M1) {
      w.nodes.push_back(constant(ov::element::f8e8m0, scale_shape, exponents));
    } else {
      w.nodes.push_back(constant(ov::element::f16, scale_shape, scales));
    }
    if (asymmetric) w.nodes.push_back(constant(type, scale_shape, packed(zero_points, four_bits)));
  }

  static std::vector<uint8_t> packed(const std::vector<int>& codes, bool four_bits) {
    std::vector<uint8_t> bytes(four_bits ? (codes.size() + 1) / 2 : codes.size());
    for (size_t i = 0; i < codes.size(); ++i) {
      if (four_bits) {
        bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] | codes[i] << (i % 2 == 0 ? 0 : 4));
      } else {
        bytes[i] = static_cast<uint8_t>(codes[i]);
      }
    }
    return bytes;
  }

  std::mt19937 generator_;
};

template <class T>
ov::Tensor tensor(ov::element::Type type, const ov::Shape& shape, const std::vector<T>& values) {
  ov::Tensor t(type, shape);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

inline std::shared_ptr<ov::op::v0::Parameter> parameter(ov::element::Type type, const ov::PartialShape& shape) {
  return std::make_shared<ov::op::v0::Parameter>(type, shape);
}

/// Inputs for evaluate(): `given` in place of the parameters, in their order.
inline ov::TensorVector inputs_of(const ov::Node& op, const ov::TensorVector& given) {
  ov::TensorVector inputs;
  size_t next = 0;
  for (size_t i = 0; i < op.get_input_size(); ++i) {
    const auto node = ov::as_type_ptr<ov::op::v0::Constant>(op.get_input_node_shared_ptr(i));
    inputs.push_back(node ? ov::Tensor(node->get_element_type(), node->get_shape(), const_cast<void*>(node->get_data_ptr()))
                          : given.at(next++));
  }
  return inputs;
}

inline std::vector<std::vector<float>> evaluate(const ov::Node& op, const ov::TensorVector& given) {
  ov::TensorVector outputs;
  for (size_t i = 0; i < op.get_output_size(); ++i) outputs.emplace_back(ov::element::f32, ov::Shape{0});
  EXPECT_TRUE(op.evaluate(outputs, inputs_of(op, given)));
  std::vector<std::vector<float>> values;
  for (const ov::Tensor& t : outputs) values.emplace_back(t.data<float>(), t.data<float>() + t.get_size());
  return values;
}

/// The same on the CPU plugin. Parameters of the op are those of the model.
inline std::vector<std::vector<float>> infer(const std::shared_ptr<ov::Node>& op, const ov::TensorVector& given) {
  ov::ParameterVector parameters;
  for (size_t i = 0; i < op->get_input_size(); ++i) {
    if (const auto p = ov::as_type_ptr<ov::op::v0::Parameter>(op->get_input_node_shared_ptr(i))) parameters.push_back(p);
  }
  const auto model = std::make_shared<ov::Model>(op->outputs(), parameters);
  ov::Core core;
  ov::InferRequest request = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  for (size_t i = 0; i < given.size(); ++i) request.set_input_tensor(i, given[i]);
  request.infer();
  std::vector<std::vector<float>> values;
  for (size_t i = 0; i < op->get_output_size(); ++i) {
    const ov::Tensor t = request.get_output_tensor(i);
    values.emplace_back(t.data<float>(), t.data<float>() + t.get_size());
  }
  return values;
}

inline void expect_near(const std::vector<float>& found, const std::vector<double>& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], tolerance) << what << ", value " << i;
}

}  // namespace dsv4::ops::testing_blocks
