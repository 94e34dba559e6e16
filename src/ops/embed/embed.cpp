// Op Embed.
#include "ops/embed/embed.h"

#include <algorithm>

#include "ops/support/op_times.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

constexpr int64_t kValuesAtOnce = 1 << 14;  // output values below which a thread is not worth waking

}  // namespace

Embed::Embed(const ov::Output<ov::Node>& ids, const WeightInputs& table, int64_t hc) : Op(table.after({ids})), weights_(table), hc_(hc) {
  constructor_validate_and_infer_types();
}

void Embed::validate_and_infer_types() {
  const std::vector<PackedMatrix> weights = weights_.describe(this, 1);
  NODE_VALIDATION_CHECK(this, weights.size() == 1, "expected one weight");
  NODE_VALIDATION_CHECK(this, hc_ >= 1 && hc_ <= 64, "hc is ", hc_);
  check_input(this, 0, "ids", ov::element::i32, {-1});
  set_output_type(0, ov::element::f32, {first_dim(this, 0), hc_, weights[0].cols});
}

std::shared_ptr<ov::Node> Embed::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  return std::make_shared<Embed>(inputs[0], weights_.among(inputs, 1), hc_);
}

bool Embed::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visitor.on_attribute("hc", hc_);
  return true;
}

bool Embed::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const TimePart time(OpPart::kEmbed);
  std::vector<PackedMatrix> storage;
  const PackedMatrix table = weights_.view(inputs, 1, storage)[0];
  const ov::Shape shape = inputs[0].get_shape();  // [T]
  OPENVINO_ASSERT(shape.size() == 1, "Embed: ids of shape ", shape, "; expected [T]");
  const int64_t tokens = static_cast<int64_t>(shape[0]), width = table.cols;
  const auto* ids = inputs[0].data<const int32_t>();
  for (int64_t t = 0; t < tokens; ++t) {
    OPENVINO_ASSERT(ids[t] >= 0 && ids[t] < table.rows, "Embed: token id ", ids[t], " at place ", t, "; expected 0..", table.rows - 1);
  }
  outputs[0].set_shape({shape[0], static_cast<size_t>(hc_), static_cast<size_t>(width)});
  if (tokens == 0) return true;
  auto* streams = outputs[0].data<float>();
  parallel_pieces(tokens, std::max<int64_t>(kValuesAtOnce / (hc_ * width), 1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* first = streams + t * hc_ * width;  // [hc,D]
      unpack_row(table, ids[t], first);
      for (int64_t j = 1; j < hc_; ++j) std::copy_n(first, width, first + j * width);
    }
  });
  return true;
}

}  // namespace dsv4::ops
