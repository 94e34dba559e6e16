// Op Attention: one layer's attention over its cache (spec 2.5 to 2.11): projections, RoPE, compressors, indexer, softmax with sinks, grouped output.
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/attention/attention_attributes.h"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

/// Inputs: x f32 [T,D], normalised; runs i32 [R,4], each (first row, rows, position, slot): consecutive tokens of one sequence, of which `position` came before
/// this call, and whose cache is in the pool under `slot` (attention/cache_pool.h) and is written in place; frequencies f32 [rope_dim/2] of RoPE; the weights
/// of for_each_weight (attention/attention_weights.h), in its order. Output: f32 [T,D]. ov::Exception, before anything is written, for runs that do not cover
/// the rows one after another, a slot twice or of no cache, a cache whose header does not fit the attributes, and positions beyond its capacity.
/// A row's bits depend on its own sequence alone: not on the split of that into calls, nor on what else is in the call.
class Attention final : public ov::op::Op {
 public:
  OPENVINO_OP("Attention", "dsv4")

  Attention() = default;
  Attention(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& runs, const ov::Output<ov::Node>& frequencies,
            const WeightInputs& weights, const AttentionAttributes& attributes);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  AttentionAttributes attributes_;
};

}  // namespace dsv4::ops
