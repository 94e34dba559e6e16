// Op Linear.
#include "ops/linear/linear.h"
#include "ops/support/op_times.h"

namespace dsv4::ops {

Linear::Linear(const ov::Output<ov::Node>& x, const WeightInputs& weight, ActivationMode mode)
    : Op({x}), weights_(weight), int8_activations_(mode == ActivationMode::kInt8) {
  for (size_t i = 0; i < weight.nodes.size(); ++i) set_argument(1 + i, weight.nodes[i]);
  constructor_validate_and_infer_types();
}

void Linear::validate_and_infer_types() {
  const std::vector<PackedMatrix> weights = weights_.describe(this, 1);
  NODE_VALIDATION_CHECK(this, weights.size() == 1, "expected one weight");
  const ov::PartialShape x = get_input_partial_shape(0);
  NODE_VALIDATION_CHECK(this, get_input_element_type(0) == ov::element::f32 && x.compatible({-1, weights[0].cols}), "x is ",
                        get_input_element_type(0), " ", x, "; expected f32 [T,", weights[0].cols, "]");
  set_output_type(0, ov::element::f32, {x.rank().is_static() ? x[0] : ov::Dimension::dynamic(), weights[0].rows});
}

std::shared_ptr<ov::Node> Linear::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Linear>(inputs[0], weights_.among(inputs, 1), int8_activations_ ? ActivationMode::kInt8 : ActivationMode::kF32);
}

bool Linear::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visitor.on_attribute("int8_activations", int8_activations_);
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
  const Activations x = make_activations(inputs[0].data<const float>(), tokens, weight.cols, weight.cols,
                                         int8_activations_ ? ActivationMode::kInt8 : ActivationMode::kF32, scratch);
  multiply(weight, x, outputs[0].data<float>(), weight.rows, scratch);  // [T,in] -> [T,out]
  return true;
}

}  // namespace dsv4::ops
