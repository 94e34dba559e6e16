// Op Linear: x W^T with W as stored. The head of the model; the other products are inside the ops of their blocks.
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/matrix/multiply.h"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

/// Inputs: x f32 [T,in]; the weight [out,in]. Output: f32 [T,out]. T may be 0.
class Linear final : public ov::op::Op {
 public:
  OPENVINO_OP("Linear", "dsv4")

  Linear() = default;
  Linear(const ov::Output<ov::Node>& x, const WeightInputs& weight, ActivationRounding mode);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  ActivationRounding mode_ = ActivationRounding::kF32;
};

}  // namespace dsv4::ops
