// The weights among an op's inputs: each is 1 to 3 inputs (codes, scales, zero points), and the attribute `parts` says how many.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "openvino/op/op.hpp"
#include "ops/matrix/packed_matrix.h"

namespace dsv4::ops {

/// Weights as the graph hands them to an op: the nodes of each matrix or exact tensor, in the op's order.
struct WeightInputs {
  ov::OutputVector nodes;
  std::vector<int64_t> parts;  ///< nodes of each weight

  void add(const ov::OutputVector& weight);
};

/// Shapes and types of the weights of `node`, whose inputs from `first` on are weights; ov::Exception by NODE_VALIDATION_CHECK when they are not matrices
/// or not all inputs are used. For validate_and_infer_types. `stacks`: places among the weights of those that are stacks.
std::vector<PackedMatrix> describe_weights(const ov::Node* node, size_t first, const std::vector<int64_t>& parts,
                                           std::span<const size_t> stacks = {});

/// The same with memory, for evaluate().
std::vector<PackedMatrix> view_weights(const ov::TensorVector& inputs, size_t first, const std::vector<int64_t>& parts,
                                       std::span<const size_t> stacks = {});

/// A float32 tensor that is used as it is (norms, sinks, biases); `weight` was described as kF32.
inline const float* exact_values(const PackedMatrix& weight) { return static_cast<const float*>(static_cast<const void*>(weight.codes)); }

}  // namespace dsv4::ops
