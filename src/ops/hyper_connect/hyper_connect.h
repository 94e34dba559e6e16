// Ops HyperConnect and HyperConnectHead: the residual streams between two sublayers (spec 2.3): post of the one before, pre of the next, its RMSNorm.
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

struct HyperConnectAttributes {
  int64_t iterations = 20;  ///< of Sinkhorn
  double eps = 1e-6;        ///< hc_eps
  double norm_eps = 1e-6;   ///< rms_norm_eps
};

/// What the sublayer before left to be done: X'_k = post_k * output + sum_j comb_jk X_j.
struct PendingPost {
  ov::Output<ov::Node> output;  ///< [T,D]
  ov::Output<ov::Node> post;    ///< [T,hc]
  ov::Output<ov::Node> comb;    ///< [T,hc,hc]
};

/// Inputs: streams f32 [T,hc,D]; with a pending post its output, post, comb; weights: fn [(2+hc)*hc, hc*D] (any weight type), base [(2+hc)*hc], scale [3],
/// norm [D] (float32). Outputs: x f32 [T,D], the sublayer's input, normalised; post f32 [T,hc]; comb f32 [T,hc,hc]; the streams after the pending post
/// f32 [T,hc,D] (a copy of the input without one).
class HyperConnect final : public ov::op::Op {
 public:
  OPENVINO_OP("HyperConnect", "dsv4")

  HyperConnect() = default;
  HyperConnect(const ov::Output<ov::Node>& streams, const PendingPost* pending, const WeightInputs& weights,
               const HyperConnectAttributes& attributes);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  bool pending_ = false;
  HyperConnectAttributes attributes_;
};

/// Inputs: streams f32 [T,hc,D]; the pending post's output, post, comb; rows i32 [n], tokens in [0,T) (ov::Exception otherwise); weights: fn [hc, hc*D], base
/// [hc], scale [1], norm [D]. Output: f32 [n,D], the head's input for these tokens, normalised.
class HyperConnectHead final : public ov::op::Op {
 public:
  OPENVINO_OP("HyperConnectHead", "dsv4")

  HyperConnectHead() = default;
  HyperConnectHead(const ov::Output<ov::Node>& streams, const PendingPost& pending, const ov::Output<ov::Node>& rows,
                   const WeightInputs& weights, const HyperConnectAttributes& attributes);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  HyperConnectAttributes attributes_;
};

}  // namespace dsv4::ops
