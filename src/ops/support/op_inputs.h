// An op's inputs: what they have to be, and the weights among them: bytes, 1 to 3 inputs a weight (codes, scales, zero points), and the attribute `parts` that says what they are.
//
// Bytes, because the CPU plugin turns f16 constants into f32, u4 into u8 and i4 into i8 (copies of the model), whatever op takes them; u8 ones reach
// evaluate() at the address where read_model mapped them. In the body of op Sequences, where the plugin does not come, they have the types and shapes that they are
// stored in, so that whoever reads the file finds them as in the portable program. For the same reason token ids and positions are i32: it makes i64 inputs i32.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "openvino/op/op.hpp"
#include "ops/matrix/multiply.h"
#include "ops/matrix/packed_matrix.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

/// Weights that an op holds itself instead of taking them as inputs: the constants keep their memory.
struct BoundWeights {
  std::vector<std::shared_ptr<ov::Node>> constants;
  std::vector<PackedMatrix> views;
};

/// Weights as the graph hands them to an op: the nodes of each matrix or exact tensor, in the op's order.
struct WeightInputs {
  ov::OutputVector nodes;      ///< u8 [bytes] constants over the memory of those that were added; placeholders as they are
  std::vector<int64_t> parts;  ///< of each weight: inputs, type, count, rows, cols, group (packed_matrix.h)
  std::shared_ptr<const BoundWeights> bound;

  /// `weight`: 1 to 3 Constants, or nodes that stand for them in a program that is to be written, as describe_matrix takes them. Error (dsv4::Error that begins with the first one's name) when they are no matrix.
  void add(const ov::OutputVector& weight, MatrixForm form = MatrixForm::kPlain);
  void append(const WeightInputs& others);
  /// The arguments of an op: `first`, then the weights.
  ov::OutputVector after(ov::OutputVector first) const;
  /// The op gets the weights themselves and no inputs for them: the plugin makes a tensor for every input at every call, which takes longer than the
  /// products of a small model. Such an op cannot be written to a file and read again. Error when one is no Constant.
  void bind();
};

/// The weights of an op, bound or among its inputs from some index on.
class OpWeights {
 public:
  OpWeights() = default;
  explicit OpWeights(const WeightInputs& weights) : parts_(weights.parts), bound_(weights.bound) {}

  /// Shapes and types, for validate_and_infer_types; ov::Exception by NODE_VALIDATION_CHECK when `parts` is malformed, the inputs of `node` from `first` on
  /// have not the bytes that it says, or not all inputs are used. `stacks`: places among the weights of those that may be stacks.
  std::vector<PackedMatrix> describe(const ov::Node* node, size_t first, std::span<const size_t> stacks = {}) const;
  /// With memory, for evaluate(). `storage` holds them if they are not bound.
  std::span<const PackedMatrix> view(const ov::TensorVector& inputs, size_t first, std::vector<PackedMatrix>& storage) const;
  /// Of an op that they are bound to; empty for others.
  std::span<const PackedMatrix> bound() const {
    return bound_ ? std::span<const PackedMatrix>(bound_->views) : std::span<const PackedMatrix>();
  }
  /// For a clone with these inputs.
  WeightInputs among(const ov::OutputVector& inputs, size_t first) const;
  void visit(ov::AttributeVisitor& visitor) { visitor.on_attribute("parts", parts_); }

 private:
  std::vector<int64_t> parts_;
  std::shared_ptr<const BoundWeights> bound_;
};

/// n floats (norms, sinks, biases) as they lie, or in memory of `scratch` where that is not aligned.
const float* aligned_floats(const void* values, int64_t n, Scratch& scratch);
/// The same of a weight that was described as kF32.
inline const float* exact_values(const PackedMatrix& weight, Scratch& scratch) {
  return aligned_floats(weight.codes, weight.rows * weight.cols, scratch);
}

/// NODE_VALIDATION_CHECK that an input has this type, and a shape that may become this one. `name` begins the message.
void check_input(const ov::Node* node, size_t input, const char* name, ov::element::Type type, const ov::PartialShape& shape);

/// T of an input [T, ...].
ov::Dimension first_dim(const ov::Node* node, size_t input);

/// The attribute `int8_activations`.
void visit_mode(ov::AttributeVisitor& visitor, ActivationRounding& mode);

}  // namespace dsv4::ops
