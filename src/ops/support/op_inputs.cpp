// Weights to and from an op's inputs.
#include "ops/support/op_inputs.h"

#include <algorithm>
#include <cstring>

#include "dsv4/error.h"
#include "openvino/op/constant.hpp"

namespace dsv4::ops {

namespace {

constexpr size_t kFields = 8;  // inputs, type, count, rows, cols, group, rows of a group, type of the scales

PackedMatrix without_memory(std::span<const int64_t> fields) {
  PackedMatrix m{static_cast<NumberFormat>(fields[1]), fields[2], fields[3], fields[4], fields[5]};
  m.group_rows = fields[6];
  m.scale = static_cast<NumberFormat>(fields[7]);
  return m;
}

// Sizes may be hostile: every product below fits into int64_t once this has passed.
PackedMatrix described(const ov::Node* node, std::span<const int64_t> fields, bool may_be_stack) {
  const int64_t inputs = fields[0], type = fields[1], count = fields[2], rows = fields[3], cols = fields[4], group = fields[5];
  const int64_t group_rows = fields[6], scale = fields[7];
  constexpr int64_t kMost = int64_t{1} << 40;
  NODE_VALIDATION_CHECK(node, inputs >= 1 && inputs <= 3 && type >= 0 && type <= static_cast<int64_t>(NumberFormat::kF8E4M3),
                        "a weight of ", inputs, " inputs and type ", type);
  NODE_VALIDATION_CHECK(node,
                        count >= 1 && rows >= 1 && cols >= 1 && count <= kMost && rows <= kMost / count && cols <= kMost / (count * rows),
                        "a weight of ", count, " x ", rows, " x ", cols, " values");
  NODE_VALIDATION_CHECK(node, count == 1 || may_be_stack, "a stack of ", count, " matrices; expected one");
  const PackedMatrix m = without_memory(fields);
  const bool scaled = is_scaled(m.type), blocks = row_of(m.type).groups == GroupRule::kBlocks;
  NODE_VALIDATION_CHECK(node, scaled == (inputs > 1) && scaled == (group != 0), "a weight of type ", type, " with ", inputs,
                        " inputs and groups of ", group);
  NODE_VALIDATION_CHECK(node, inputs < 3 || is_asymmetric(m.type), "zero points of symmetric weights");
  NODE_VALIDATION_CHECK(node, group_rows >= 1 && rows % group_rows == 0 && (blocks || group_rows == 1), rows, " rows in groups of ",
                        group_rows);
  const bool f32_scale = blocks && scale == static_cast<int64_t>(NumberFormat::kF32);
  const NumberFormat expected = scaled ? row_of(m.type).scale : PackedMatrix{}.scale;
  NODE_VALIDATION_CHECK(node, f32_scale || scale == static_cast<int64_t>(expected), "scales of type ", scale, " for weights of type ",
                        type);
  NODE_VALIDATION_CHECK(node, group == 0 || (group > 0 && cols % group == 0), "rows of ", cols, " values in groups of ", group);
  NODE_VALIDATION_CHECK(node, !is_four_bits(m.type) || cols % 2 == 0, "4-bit rows of ", cols, " values; expected an even number");
  return m;
}

/// -1: not known, or nobody's number of bytes.
int64_t bytes_of_input(const ov::Node* node, size_t input) {
  const ov::element::Type type = node->get_input_element_type(input);
  const ov::PartialShape& shape = node->get_input_partial_shape(input);
  if (type.is_dynamic() || shape.is_dynamic()) return -1;
  constexpr int64_t kMost = int64_t{1} << 50;
  int64_t values = 1;
  for (const auto& dim : shape) {
    if (dim.get_length() > 0 && values > kMost / dim.get_length()) return -1;
    values *= dim.get_length();
  }
  return (values * static_cast<int64_t>(type.bitwidth()) + 7) / 8;
}

/// `memory(i)`: where input i of the weights lies.
template <class F>
std::vector<PackedMatrix> viewed(const std::vector<int64_t>& parts, const F& memory) {
  std::vector<PackedMatrix> weights;
  weights.reserve(parts.size() / kFields);
  size_t input = 0;
  for (size_t i = 0; i < parts.size(); i += kFields) {
    PackedMatrix m = without_memory(std::span(parts).subspan(i, kFields));
    m.codes = memory(input);
    if (parts[i] > 1) m.scales = memory(input + 1);
    if (parts[i] > 2) m.zero_points = memory(input + 2);
    weights.push_back(m);
    input += static_cast<size_t>(parts[i]);
  }
  return weights;
}

}  // namespace

void WeightInputs::add(const ov::OutputVector& weight, MatrixForm form) {
  std::vector<ov::element::Type> types;
  std::vector<ov::Shape> shapes;
  for (const auto& node : weight) {
    types.push_back(node.get_element_type());
    shapes.push_back(node.get_shape());
  }
  const std::string name = weight.at(0).get_node()->get_friendly_name();
  const PackedMatrix m = describe_matrix(types, shapes, form, name);
  for (const auto& node : weight) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node.get_node_shared_ptr());
    if (!constant) {  // what stands for one in a file
      nodes.push_back(node);
      continue;
    }
    const ov::Shape bytes = {constant->get_byte_size()};
    const auto view = std::make_shared<ov::op::v0::Constant>(ov::element::u8, bytes, constant->get_data_ptr(), constant);
    view->set_friendly_name(constant->get_friendly_name());
    nodes.push_back(view);
  }
  parts.insert(parts.end(), {static_cast<int64_t>(weight.size()), static_cast<int64_t>(m.type), m.count, m.rows, m.cols, m.group,
                             m.group_rows, static_cast<int64_t>(m.scale)});
}

void WeightInputs::append(const WeightInputs& others) {
  nodes.insert(nodes.end(), others.nodes.begin(), others.nodes.end());
  parts.insert(parts.end(), others.parts.begin(), others.parts.end());
}

ov::OutputVector WeightInputs::after(ov::OutputVector first) const {
  first.insert(first.end(), nodes.begin(), nodes.end());
  return first;
}

void WeightInputs::bind() {
  auto weights = std::make_shared<BoundWeights>();
  std::vector<const std::byte*> memory;
  for (const auto& node : nodes) {
    const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node.get_node_shared_ptr());
    if (!constant) fail(node.get_node()->get_friendly_name(), ": a weight of the CPU program has to be a constant");
    weights->constants.push_back(constant);
    memory.push_back(static_cast<const std::byte*>(constant->get_data_ptr()));
  }
  weights->views = viewed(parts, [&](size_t i) { return memory[i]; });
  bound = weights;
  nodes.clear();
}

std::vector<PackedMatrix> OpWeights::describe(const ov::Node* node, size_t first, std::span<const size_t> stacks) const {
  if (bound_) {
    NODE_VALIDATION_CHECK(node, node->get_input_size() == first, "expected ", first, " inputs, found ", node->get_input_size());
    return bound_->views;
  }
  NODE_VALIDATION_CHECK(node, parts_.size() % kFields == 0, "parts has ", parts_.size(), " numbers; expected ", kFields, " a weight");
  std::vector<PackedMatrix> weights;
  size_t input = first;
  for (size_t i = 0; i < parts_.size(); i += kFields) {
    const std::span fields = std::span(parts_).subspan(i, kFields);
    weights.push_back(described(node, fields, std::find(stacks.begin(), stacks.end(), i / kFields) != stacks.end()));
    const PackedMatrix& m = weights.back();
    const int64_t inputs = fields[0];
    const int64_t expected[] = {m.code_bytes(), m.scale_bytes(), m.zero_point_bytes()};
    for (int64_t j = 0; j < inputs; ++j, ++input) {
      NODE_VALIDATION_CHECK(node, input < node->get_input_size(), "input ", input, " is missing");
      NODE_VALIDATION_CHECK(node, bytes_of_input(node, input) == expected[j], "input ", input, " is ", node->get_input_element_type(input),
                            " ", node->get_input_partial_shape(input), "; expected ", expected[j], " bytes");
    }
  }
  NODE_VALIDATION_CHECK(node, node->get_input_size() == input, "expected ", input, " inputs, found ", node->get_input_size());
  return weights;
}

std::span<const PackedMatrix> OpWeights::view(const ov::TensorVector& inputs, size_t first, std::vector<PackedMatrix>& storage) const {
  if (bound_) return bound_->views;
  storage = viewed(parts_, [&](size_t i) { return static_cast<const std::byte*>(inputs[first + i].data()); });
  return storage;
}

WeightInputs OpWeights::among(const ov::OutputVector& inputs, size_t first) const {
  return {{inputs.begin() + static_cast<std::ptrdiff_t>(first), inputs.end()}, parts_, bound_};
}

const float* aligned_floats(const void* values, int64_t n, Scratch& scratch) {
  if (reinterpret_cast<uintptr_t>(values) % alignof(float) == 0) return static_cast<const float*>(values);
  float* copy = scratch.take<float>(n);
  std::memcpy(copy, values, static_cast<size_t>(n) * sizeof(float));
  return copy;
}

void check_input(const ov::Node* node, size_t input, const char* name, ov::element::Type type, const ov::PartialShape& shape) {
  NODE_VALIDATION_CHECK(node, node->get_input_element_type(input) == type && node->get_input_partial_shape(input).compatible(shape), name,
                        " is ", node->get_input_element_type(input), " ", node->get_input_partial_shape(input), "; expected ", type, " ",
                        shape);
}

ov::Dimension first_dim(const ov::Node* node, size_t input) {
  const ov::PartialShape& shape = node->get_input_partial_shape(input);
  return shape.rank().is_static() ? shape[0] : ov::Dimension::dynamic();
}

void visit_mode(ov::AttributeVisitor& visitor, ActivationRounding& mode) {
  bool int8_activations = mode == ActivationRounding::kInt8;
  visitor.on_attribute("int8_activations", int8_activations);
  mode = int8_activations ? ActivationRounding::kInt8 : ActivationRounding::kF32;
}

}  // namespace dsv4::ops
