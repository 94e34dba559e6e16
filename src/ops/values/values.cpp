// Op Values.
#include "ops/values/values.h"

#include <bit>
#include <limits>

namespace dsv4::ops {

Values::Values(const std::vector<float>& values) {
  for (const float value : values) bits_.push_back(std::bit_cast<uint32_t>(value));
  constructor_validate_and_infer_types();
}

void Values::validate_and_infer_types() {
  NODE_VALIDATION_CHECK(this, get_input_size() == 0, "expected no inputs, found ", get_input_size());
  for (const int64_t bits : bits_) {
    NODE_VALIDATION_CHECK(this, bits >= 0 && bits <= std::numeric_limits<uint32_t>::max(), "bits ", bits, " are no 32 bits");
  }
  set_output_type(0, ov::element::f32, ov::Shape{bits_.size()});
}

std::shared_ptr<ov::Node> Values::clone_with_new_inputs(const ov::OutputVector&) const {
  const auto copy = std::make_shared<Values>();
  copy->bits_ = bits_;
  copy->constructor_validate_and_infer_types();
  return copy;
}

bool Values::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("bits", bits_);
  return true;
}

bool Values::evaluate(ov::TensorVector& outputs, const ov::TensorVector&) const {
  outputs[0].set_shape({bits_.size()});
  auto* values = outputs[0].data<float>();
  for (const int64_t bits : bits_) *values++ = std::bit_cast<float>(static_cast<uint32_t>(bits));
  return true;
}

}  // namespace dsv4::ops
