// Op Values: floats that a graph states itself: a program that is written over a finished .bin has no place there for constants of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "openvino/op/op.hpp"

namespace dsv4::ops {

/// No inputs. Output: f32 [n]. The attribute `bits` holds the values' bit patterns, so that reading a text gives the same ones.
class Values final : public ov::op::Op {
 public:
  OPENVINO_OP("Values", "dsv4")

  Values() = default;
  explicit Values(const std::vector<float>& values);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  std::vector<int64_t> bits_;
};

}  // namespace dsv4::ops
