// Op Experts.
#include "ops/experts/experts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/experts/mixture.h"

namespace dsv4::ops {

namespace {

constexpr int64_t kTokensAtOnce = 512;  // working memory is (K+1) * (2I+D) floats a token
// Where experts come from a drive, each of them is read once for so many tokens; the working memory is (K+1) * (D+I/2) floats a token then, groups being small.
constexpr int64_t kTokensAtOnceLeased = 2048;
constexpr int64_t kMostExperts = 65536;
constexpr double kMostFactor = 1e30;  // far above every model's, and a float
constexpr size_t kFirstWeight = 3;
enum Weight : size_t { kGate, kGateUp, kDown, kW1, kW3, kW2, kWeights };

}  // namespace

Experts::Experts(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& ids, const ov::Output<ov::Node>& selection,
                 const WeightInputs& weights, const ExpertsAttributes& attributes)
    : Op(weights.after({x, ids, selection})), weights_(weights), attributes_(attributes) {
  constructor_validate_and_infer_types();
}

void Experts::validate_and_infer_types() {
  constexpr std::array<size_t, 2> stacks = {kGateUp, kDown};
  const std::vector<PackedMatrix> w = weights_.describe(this, kFirstWeight, stacks);
  NODE_VALIDATION_CHECK(this, w.size() == kWeights, "expected gate, gate and up rows, down rows, w1, w3 and w2, found ", w.size(),
                        " weights");
  const int64_t experts = w[kGate].rows, width = w[kGate].cols, inner = w[kW1].rows, k = attributes_.experts_per_token;
  const auto matrix = [&](Weight weight, const char* name, int64_t count, int64_t rows, int64_t cols) {
    const PackedMatrix& m = w[weight];
    NODE_VALIDATION_CHECK(this, m.count == count && m.rows == rows && m.cols == cols, name, " is ", m.count, " x [", m.rows, ",", m.cols,
                          "]; expected ", count, " x [", rows, ",", cols, "]");
  };
  matrix(kW1, "w1", 1, inner, width);
  matrix(kW3, "w3", 1, inner, width);
  matrix(kW2, "w2", 1, width, inner);
  matrix(kGateUp, "the stack of gate and up rows", experts, 2 * inner, width);
  matrix(kDown, "the stack of down rows", experts, width, inner);
  NODE_VALIDATION_CHECK(this, experts <= kMostExperts && k >= 1 && k <= experts, k, " of ", experts, " experts a token");
  NODE_VALIDATION_CHECK(this, attributes_.swiglu_limit >= 0.0 && attributes_.swiglu_limit <= kMostFactor, "swiglu_limit is ",
                        attributes_.swiglu_limit);
  NODE_VALIDATION_CHECK(this, std::fabs(attributes_.scaling_factor) <= kMostFactor, "scaling_factor is ", attributes_.scaling_factor);

  check_input(this, 0, "x", ov::element::f32, {-1, width});
  const ov::Dimension tokens = first_dim(this, 0);
  check_input(this, 1, "ids", ov::element::i32, {tokens});
  if (attributes_.hash_routed) {
    check_input(this, 2, "the hash table", ov::element::i32, {-1, k});
  } else {
    check_input(this, 2, "the bias", ov::element::f32, {experts});
  }
  set_output_type(0, ov::element::f32, {tokens, width});
}

std::shared_ptr<ov::Node> Experts::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  const auto copy = std::make_shared<Experts>(inputs[0], inputs[1], inputs[2], weights_.among(inputs, kFirstWeight), attributes_);
  copy->connect(connection_);
  return copy;
}

const PackedMatrix& Experts::gate_up() const { return weights_.bound()[kGateUp]; }
const PackedMatrix& Experts::down() const { return weights_.bound()[kDown]; }

bool Experts::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visitor.on_attribute("hash_routed", attributes_.hash_routed);
  visitor.on_attribute("experts_per_token", attributes_.experts_per_token);
  visitor.on_attribute("scaling_factor", attributes_.scaling_factor);
  visitor.on_attribute("swiglu_limit", attributes_.swiglu_limit);
  visit_mode(visitor, attributes_.mode);
  visitor.on_attribute("prefetch", attributes_.prefetch);
  return true;
}

bool Experts::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  std::vector<PackedMatrix> storage;
  const std::span<const PackedMatrix> w = weights_.view(inputs, kFirstWeight, storage);
  MixtureLayer layer{.gate = w[kGate], .gate_up = w[kGateUp], .down = w[kDown], .w1 = w[kW1], .w3 = w[kW3], .w2 = w[kW2]};
  layer.experts_per_token = attributes_.experts_per_token;
  layer.scaling_factor = static_cast<float>(attributes_.scaling_factor);
  layer.swiglu_limit = static_cast<float>(attributes_.swiglu_limit);
  layer.mode = attributes_.mode;
  layer.prefetch = attributes_.prefetch;
  layer.source = connection_.source.get();
  layer.observer = connection_.observer.get();
  layer.index = connection_.layer;
  const int64_t width = layer.width(), experts = layer.experts();

  const ov::Shape shape = inputs[0].get_shape(), selection = inputs[2].get_shape();
  const size_t tokens = shape.empty() ? 0 : shape[0];
  OPENVINO_ASSERT(shape == (ov::Shape{tokens, static_cast<size_t>(width)}), "Experts: x of shape ", shape, "; expected [T,", width, "]");
  OPENVINO_ASSERT(inputs[1].get_shape() == ov::Shape{tokens}, "Experts: ids of shape ", inputs[1].get_shape(), " for ", tokens, " tokens");
  Scratch scratch;
  if (attributes_.hash_routed) {
    OPENVINO_ASSERT(selection.size() == 2 && static_cast<int64_t>(selection[1]) == layer.experts_per_token,
                    "Experts: a hash table of shape ", selection, "; expected [V,", layer.experts_per_token, "]");
    layer.table = static_cast<const std::byte*>(inputs[2].data());
    layer.vocabulary = static_cast<int64_t>(selection[0]);
  } else {
    OPENVINO_ASSERT(selection == ov::Shape{static_cast<size_t>(experts)}, "Experts: a bias of shape ", selection, "; expected [", experts,
                    "]");
    layer.bias = aligned_floats(inputs[2].data(), experts, scratch);
  }
  outputs[0].set_shape(shape);
  if (tokens == 0) return true;
  const auto* x = inputs[0].data<const float>();
  const auto* ids = inputs[1].data<const int32_t>();
  auto* y = outputs[0].data<float>();
  const int64_t total = static_cast<int64_t>(tokens);
  const int64_t at_once = connection_.source ? kTokensAtOnceLeased : kTokensAtOnce;
  for (int64_t first = 0; first < total; first += at_once) {
    mixture_of_experts(layer, x + first * width, ids + first, std::min(at_once, total - first), y + first * width);
  }
  return true;
}

}  // namespace dsv4::ops
