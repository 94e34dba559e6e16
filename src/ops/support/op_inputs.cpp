// Weights off an op's inputs.
#include "ops/support/op_inputs.h"

#include <algorithm>

#include "dsv4/error.h"

namespace dsv4::ops {

namespace {

MatrixForm form_of(size_t weight, std::span<const size_t> stacks) {
  return std::find(stacks.begin(), stacks.end(), weight) == stacks.end() ? MatrixForm::kPlain : MatrixForm::kStack;
}

}  // namespace

void WeightInputs::add(const ov::OutputVector& weight) {
  nodes.insert(nodes.end(), weight.begin(), weight.end());
  parts.push_back(static_cast<int64_t>(weight.size()));
}

std::vector<PackedMatrix> describe_weights(const ov::Node* node, size_t first, const std::vector<int64_t>& parts,
                                           std::span<const size_t> stacks) {
  int64_t total = 0;
  for (const int64_t n : parts) {
    NODE_VALIDATION_CHECK(node, n >= 1 && n <= 3, "a weight of ", n, " inputs; expected 1 to 3");
    total += n;
  }
  NODE_VALIDATION_CHECK(node, static_cast<int64_t>(node->get_input_size()) == static_cast<int64_t>(first) + total, "expected ",
                        static_cast<int64_t>(first) + total, " inputs, found ", node->get_input_size());
  std::vector<PackedMatrix> weights;
  size_t input = first;
  for (const int64_t n : parts) {
    std::vector<ov::element::Type> types;
    std::vector<ov::Shape> shapes;
    for (int64_t i = 0; i < n; ++i, ++input) {
      NODE_VALIDATION_CHECK(node, node->get_input_partial_shape(input).is_static(), "input ", input,
                            " is a weight; expected a static shape");
      types.push_back(node->get_input_element_type(input));
      shapes.push_back(node->get_input_shape(input));
    }
    try {
      weights.push_back(
          describe_matrix(types, shapes, form_of(weights.size(), stacks), "input " + std::to_string(input - static_cast<size_t>(n))));
    } catch (const Error& e) {
      NODE_VALIDATION_CHECK(node, false, e.what());
    }
  }
  return weights;
}

std::vector<PackedMatrix> view_weights(const ov::TensorVector& inputs, size_t first, const std::vector<int64_t>& parts,
                                       std::span<const size_t> stacks) {
  std::vector<PackedMatrix> weights;
  weights.reserve(parts.size());
  size_t input = first;
  for (const int64_t n : parts) {
    weights.push_back(view_matrix(std::span(inputs).subspan(input, static_cast<size_t>(n)), form_of(weights.size(), stacks), "weight"));
    input += static_cast<size_t>(n);
  }
  return weights;
}

}  // namespace dsv4::ops
