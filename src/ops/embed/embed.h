// Op Embed: rows of the embedding, copied into every residual stream (spec 2.2).
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

/// Inputs: ids i32 [T], in [0,V) (ov::Exception otherwise); the table [V,D]. Output: f32 [T,hc,D].
class Embed final : public ov::op::Op {
 public:
  OPENVINO_OP("Embed", "dsv4")

  Embed() = default;
  Embed(const ov::Output<ov::Node>& ids, const WeightInputs& table, int64_t hc);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  int64_t hc_ = 0;
};

}  // namespace dsv4::ops
