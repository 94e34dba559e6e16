// Op Attention: one layer's attention over its cache (spec 2.5 to 2.11): projections, RoPE, compressors, indexer, softmax with sinks, grouped output.
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/attention/attention_attributes.h"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

/// Inputs: x f32 [T,D], normalised; position i32 [1], tokens before this call; cache u8 [bytes], written in place (attention/cache.h; ov::Exception when its
/// header does not fit the attributes or position + T exceeds its capacity); frequencies f32 [rope_dim/2] of RoPE; the weights of for_each_weight
/// (attention/attention_weights.h), in its order. Output: f32 [T,D].
/// Tokens are those of one sequence, in order. Any split of a sequence into calls gives the same values to float32 rounding.
class Attention final : public ov::op::Op {
 public:
  OPENVINO_OP("Attention", "dsv4")

  Attention() = default;
  Attention(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& position, const ov::Output<ov::Node>& cache,
            const ov::Output<ov::Node>& frequencies, const WeightInputs& weights, const AttentionAttributes& attributes);

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
