// Op Linear.
#include "ops/linear/linear.h"

#include "ops/support/op_times.h"

namespace dsv4::ops {

Linear::Linear(const ov::Output<ov::Node>& x, const WeightInputs& weight, ActivationRounding mode)
    : Op(weight.after({x})), weights_(weight), mode_(mode) {
  constructor_validate_and_infer_types();
}

void Linear::validate_and_infer_types() {
  const std::vector<PackedMatrix> weights = weights_.describe(this, 1);
  NODE_VALIDATION_CHECK(this, weights.size() == 1, "expected one weight");
  check_input(this, 0, "x", ov::element::f32, {-1, weights[0].cols});
  set_output_type(0, ov::element::f32, {first_dim(this, 0), weights[0].rows});
}

std::shared_ptr<ov::Node> Linear::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Linear>(inputs[0], weights_.among(inputs, 1), mode_);
}

bool Linear::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visit_mode(visitor, mode_);
  return true;
}

bool Linear::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const TimePart time(OpPart::kHead);
  const ov::Shape shape = inputs[0].get_shape();  // [T,in]
  std::vector<PackedMatrix> storage;
  const PackedMatrix weight = weights_.view(inputs, 1, storage)[0];
  outputs[0].set_shape({shape[0], static_cast<size_t>(weight.rows)});
  const int64_t tokens = static_cast<int64_t>(shape[0]);
  if (tokens == 0) return true;
  Scratch scratch;
  const Activations x = make_activations(inputs[0].data<const float>(), tokens, weight.cols, weight.cols, mode_, scratch);
  multiply(weight, x, outputs[0].data<float>(), weight.rows, scratch);  // [T,in] -> [T,out]
  return true;
}

}  // namespace dsv4::ops
