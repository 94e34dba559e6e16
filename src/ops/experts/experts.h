// Op Experts: router or hash table, the selected routed experts batched by expert, the shared expert (spec 2.12).
#pragma once

#include <memory>

#include "openvino/op/op.hpp"
#include "ops/experts/expert_source.h"
#include "ops/matrix/multiply.h"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

struct ExpertsAttributes {
  bool hash_routed = false;
  int64_t experts_per_token = 0;  ///< K
  double scaling_factor = 1.0;    ///< routed_scaling_factor
  double swiglu_limit = 0.0;      ///< 0: no clamp
  ActivationRounding mode = ActivationRounding::kF32;
  bool prefetch = false;  ///< ask the kernel for the selected experts' pages (weights in a mapped file)
};

/// Inputs: x f32 [T,D]; ids i32 [T], the tokens; selection: tid2eid i32 [V,K] if hash_routed, else the bias f32 [E]; weights: gate [E,D], the stack of gate and
/// up rows [E,2I,D], the stack of down [E,D,I], shared w1 [I,D], w3 [I,D], w2 [D,I]. Output: f32 [T,D]. Equal scores: the lower expert. ov::Exception for an
/// id outside the table or an expert outside [0,E) in it.
class Experts final : public ov::op::Op {
 public:
  OPENVINO_OP("Experts", "dsv4")

  Experts() = default;
  Experts(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& ids, const ov::Output<ov::Node>& selection,
          const WeightInputs& weights, const ExpertsAttributes& attributes);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

  /// The stacks of an op whose weights are bound to it.
  const PackedMatrix& gate_up() const;
  const PackedMatrix& down() const;
  const ExpertsAttributes& attributes() const { return attributes_; }
  /// Of this op and of copies that are made of it from now on.
  void connect(const ExpertConnection& connection) { connection_ = connection; }

 private:
  OpWeights weights_;
  ExpertsAttributes attributes_;
  ExpertConnection connection_;
};

}  // namespace dsv4::ops
