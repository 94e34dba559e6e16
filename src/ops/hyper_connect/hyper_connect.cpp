// Ops HyperConnect and HyperConnectHead.
#include "ops/hyper_connect/hyper_connect.h"

#include <algorithm>

#include "ops/hyper_connect/mixing.h"
#include "ops/matrix/multiply.h"
#include "ops/support/op_times.h"
#include "ops/support/parallel.h"

namespace dsv4::ops {

namespace {

constexpr int64_t kTokensAtOnce = 64;       // their streams are still in the cache when fn is multiplied with them, and when they are mixed
constexpr int64_t kValuesAtOnce = 1 << 16;  // values of streams below which a thread is not worth waking
constexpr int64_t kFewestTokens = 8;        // a piece of mixing_weights(), which has a token a lane
constexpr int64_t kMostStreams = 64;
enum Weight { kFn, kBase, kScale, kNorm, kWeights };

struct Sizes {
  int64_t streams = 0, width = 0;  // hc, D
};

/// Checks what both ops share; outputs of fn: (2+hc)*hc, of a head hc.
Sizes check_weights(const ov::Node* node, const std::vector<PackedMatrix>& w, const HyperConnectAttributes& attributes, bool head) {
  NODE_VALIDATION_CHECK(node, w.size() == kWeights, "expected fn, base, scale and norm, found ", w.size(), " weights");
  const int64_t width = w[kNorm].cols, hc = w[kFn].cols / width;
  const bool possible = hc >= 1 && hc <= kMostStreams && w[kFn].cols % width == 0;
  const int64_t outputs = !possible ? 0 : head ? hc : (2 + hc) * hc;  // (hc of a hostile model may be 2^40)
  NODE_VALIDATION_CHECK(node, possible && w[kFn].rows == outputs, "fn is [", w[kFn].rows, ",", w[kFn].cols, "] where norm has ", width,
                        " values; expected ", head ? "[hc,hc*D]" : "[(2+hc)*hc,hc*D]", " with hc from 1 to ", kMostStreams);
  const auto exact = [&](Weight weight, int64_t count, const char* name) {
    NODE_VALIDATION_CHECK(node, w[weight].type == NumberFormat::kF32 && w[weight].rows == 1 && w[weight].cols == count, name,
                          " is not float32 [", count, "]");
  };
  exact(kBase, outputs, "base");
  exact(kScale, head ? 1 : 3, "scale");
  exact(kNorm, width, "norm");
  NODE_VALIDATION_CHECK(node, attributes.iterations >= 1 && attributes.iterations <= 1000, attributes.iterations,
                        " Sinkhorn iterations; expected 1..1000");
  const auto reasonable = [](double eps) { return eps >= 0.0 && eps <= 1.0; };
  NODE_VALIDATION_CHECK(node, reasonable(attributes.eps) && reasonable(attributes.norm_eps), "eps ", attributes.eps, " and norm_eps ",
                        attributes.norm_eps, "; expected 0..1");
  return {hc, width};
}

void check_pending(const ov::Node* node, size_t first, const ov::Dimension& tokens, const Sizes& sizes) {
  check_input(node, first, "the output before", ov::element::f32, {tokens, sizes.width});
  check_input(node, first + 1, "post", ov::element::f32, {tokens, sizes.streams});
  check_input(node, first + 2, "comb", ov::element::f32, {tokens, sizes.streams, sizes.streams});
}

void visit(ov::AttributeVisitor& visitor, HyperConnectAttributes& attributes) {
  visitor.on_attribute("iterations", attributes.iterations);
  visitor.on_attribute("eps", attributes.eps);
  visitor.on_attribute("norm_eps", attributes.norm_eps);
}

/// Dims that were dynamic when the model was made.
void check_shape(const char* op, const ov::Tensor& tensor, const ov::Shape& expected) {
  OPENVINO_ASSERT(tensor.get_shape() == expected, op, ": an input of shape ", tensor.get_shape(), "; expected ", expected);
}

/// Some tokens' streams and what is pending for them; the same with `row`, of tokens row[0], row[1], ...
struct Source {
  const float* streams = nullptr;
  const float* output = nullptr;  ///< null: nothing is pending
  const float* post = nullptr;
  const float* comb = nullptr;
  const int32_t* row = nullptr;
};

struct Destination {
  float* x = nullptr;
  float* next = nullptr;  ///< null: the streams are not asked for
  float* post = nullptr;  ///< these two are null at a head
  float* comb = nullptr;
};

MixingSite site_of(std::span<const PackedMatrix> weights, const HyperConnectAttributes& attributes, bool head, Scratch& scratch) {
  const int64_t width = weights[kNorm].cols;
  return {.streams = weights[kFn].cols / width,
          .width = width,
          .base = exact_values(weights[kBase], scratch),
          .scale = exact_values(weights[kScale], scratch),
          .head = head,
          .iterations = attributes.iterations,
          .eps = static_cast<float>(attributes.eps),
          .norm_eps = static_cast<float>(attributes.norm_eps)};
}

/// Post, mixing weights, pre and norm of tokens [first, first + n).
void connect(const MixingSite& site, std::span<const PackedMatrix> weights, const Source& from, const Destination& to, int64_t first,
             int64_t n) {
  Scratch scratch;
  const int64_t hc = site.streams, width = site.width, values = hc * width;
  float* next = to.next ? to.next + first * values : scratch.take<float>(n * values);  // [n,hc,D]
  float* inverse_rms = scratch.take<float>(n);
  const int64_t grain = std::clamp<int64_t>(kValuesAtOnce / values, 1, kTokensAtOnce);
  parallel_pieces(n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = from.row ? from.row[first + i] : first + i;
      const float* output = from.output ? from.output + t * width : nullptr;
      inverse_rms[i] = apply_post(site, from.streams + t * values, output, output ? from.post + t * hc : nullptr,
                                  output ? from.comb + t * hc * hc : nullptr, next + i * values);
    }
  });

  float* u = scratch.take<float>(n * site.outputs());
  const Activations flat = make_activations(next, n, values, values, ActivationRounding::kF32, scratch);
  multiply(weights[kFn], flat, u, site.outputs(), scratch);  // [n,hc*D] -> [n,outputs]

  const int64_t mixing_grain = std::max(grain, kFewestTokens), memory_size = mixing_memory(site);
  float* memory = scratch.take<float>((n + mixing_grain - 1) / mixing_grain * memory_size);  // one for each piece
  float* pre = scratch.take<float>(n * hc);
  const float* norm = exact_values(weights[kNorm], scratch);
  parallel_pieces(n, mixing_grain, [&](int64_t begin, int64_t end) {
    mixing_weights(site, u + begin * site.outputs(), inverse_rms + begin, end - begin, memory + begin / mixing_grain * memory_size,
                   pre + begin * hc, site.head ? nullptr : to.post + (first + begin) * hc,
                   site.head ? nullptr : to.comb + (first + begin) * hc * hc);
    for (int64_t i = begin; i < end; ++i) {
      mix_streams(site, next + i * values, pre + i * hc, norm, to.x + (first + i) * width);  // [hc,D] -> [D]
    }
  });
}

void connect_all(std::span<const PackedMatrix> weights, const HyperConnectAttributes& attributes, bool head, const Source& from,
                 const Destination& to, int64_t n) {
  Scratch scratch;
  const MixingSite site = site_of(weights, attributes, head, scratch);
  for (int64_t first = 0; first < n; first += kTokensAtOnce) connect(site, weights, from, to, first, std::min(kTokensAtOnce, n - first));
}

}  // namespace

HyperConnect::HyperConnect(const ov::Output<ov::Node>& streams, const PendingPost* pending, const WeightInputs& weights,
                           const HyperConnectAttributes& attributes)
    : Op(weights.after(pending ? ov::OutputVector{streams, pending->output, pending->post, pending->comb} : ov::OutputVector{streams})),
      weights_(weights),
      pending_(pending != nullptr),
      attributes_(attributes) {
  constructor_validate_and_infer_types();
}

void HyperConnect::validate_and_infer_types() {
  const Sizes sizes = check_weights(this, weights_.describe(this, pending_ ? 4 : 1), attributes_, false);
  const int64_t hc = sizes.streams, width = sizes.width;
  check_input(this, 0, "streams", ov::element::f32, {-1, hc, width});
  const ov::Dimension tokens = first_dim(this, 0);
  if (pending_) check_pending(this, 1, tokens, sizes);
  set_output_type(0, ov::element::f32, {tokens, width});
  set_output_type(1, ov::element::f32, {tokens, hc});
  set_output_type(2, ov::element::f32, {tokens, hc, hc});
  set_output_type(3, ov::element::f32, {tokens, hc, width});
}

std::shared_ptr<ov::Node> HyperConnect::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  const WeightInputs weights = weights_.among(inputs, pending_ ? 4 : 1);
  if (!pending_) return std::make_shared<HyperConnect>(inputs[0], nullptr, weights, attributes_);
  const PendingPost pending{inputs[1], inputs[2], inputs[3]};
  return std::make_shared<HyperConnect>(inputs[0], &pending, weights, attributes_);
}

bool HyperConnect::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visitor.on_attribute("pending", pending_);
  visit(visitor, attributes_);
  return true;
}

bool HyperConnect::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const TimePart time(OpPart::kHyperConnect);
  std::vector<PackedMatrix> storage;
  const std::span<const PackedMatrix> weights = weights_.view(inputs, pending_ ? 4 : 1, storage);
  const size_t width = static_cast<size_t>(weights[kNorm].cols), hc = static_cast<size_t>(weights[kFn].cols) / width;
  const ov::Shape shape = inputs[0].get_shape();
  const size_t tokens = shape.empty() ? 0 : shape[0];
  check_shape("HyperConnect", inputs[0], {tokens, hc, width});
  if (pending_) {
    check_shape("HyperConnect", inputs[1], {tokens, width});
    check_shape("HyperConnect", inputs[2], {tokens, hc});
    check_shape("HyperConnect", inputs[3], {tokens, hc, hc});
  }
  outputs[0].set_shape({tokens, width});
  outputs[1].set_shape({tokens, hc});
  outputs[2].set_shape({tokens, hc, hc});
  outputs[3].set_shape({tokens, hc, width});
  if (tokens == 0) return true;
  Source from{.streams = inputs[0].data<const float>()};
  if (pending_) {
    from.output = inputs[1].data<const float>();
    from.post = inputs[2].data<const float>();
    from.comb = inputs[3].data<const float>();
  }
  const Destination to{outputs[0].data<float>(), outputs[3].data<float>(), outputs[1].data<float>(), outputs[2].data<float>()};
  connect_all(weights, attributes_, false, from, to, static_cast<int64_t>(tokens));
  return true;
}

HyperConnectHead::HyperConnectHead(const ov::Output<ov::Node>& streams, const PendingPost& pending, const ov::Output<ov::Node>& rows,
                                   const WeightInputs& weights, const HyperConnectAttributes& attributes)
    : Op(weights.after({streams, pending.output, pending.post, pending.comb, rows})), weights_(weights), attributes_(attributes) {
  constructor_validate_and_infer_types();
}

void HyperConnectHead::validate_and_infer_types() {
  const Sizes sizes = check_weights(this, weights_.describe(this, 5), attributes_, true);
  check_input(this, 0, "streams", ov::element::f32, {-1, sizes.streams, sizes.width});
  check_pending(this, 1, first_dim(this, 0), sizes);
  check_input(this, 4, "rows", ov::element::i32, {-1});
  set_output_type(0, ov::element::f32, {first_dim(this, 4), sizes.width});
}

std::shared_ptr<ov::Node> HyperConnectHead::clone_with_new_inputs(const ov::OutputVector& inputs) const {
  const PendingPost pending{inputs[1], inputs[2], inputs[3]};
  return std::make_shared<HyperConnectHead>(inputs[0], pending, inputs[4], weights_.among(inputs, 5), attributes_);
}

bool HyperConnectHead::visit_attributes(ov::AttributeVisitor& visitor) {
  weights_.visit(visitor);
  visit(visitor, attributes_);
  return true;
}

bool HyperConnectHead::evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const {
  const TimePart time(OpPart::kHyperConnect);
  std::vector<PackedMatrix> storage;
  const std::span<const PackedMatrix> weights = weights_.view(inputs, 5, storage);
  const size_t width = static_cast<size_t>(weights[kNorm].cols), hc = static_cast<size_t>(weights[kFn].cols) / width;
  const ov::Shape shape = inputs[0].get_shape(), rows_shape = inputs[4].get_shape();
  const size_t tokens = shape.empty() ? 0 : shape[0];
  check_shape("HyperConnectHead", inputs[0], {tokens, hc, width});
  check_shape("HyperConnectHead", inputs[1], {tokens, width});
  check_shape("HyperConnectHead", inputs[2], {tokens, hc});
  check_shape("HyperConnectHead", inputs[3], {tokens, hc, hc});
  OPENVINO_ASSERT(rows_shape.size() == 1, "HyperConnectHead: rows of shape ", rows_shape, "; expected [n]");
  const auto* rows = inputs[4].data<const int32_t>();
  for (size_t i = 0; i < rows_shape[0]; ++i) {
    OPENVINO_ASSERT(rows[i] >= 0 && static_cast<size_t>(rows[i]) < tokens, "HyperConnectHead: row ", rows[i], " of ", tokens, " tokens");
  }
  outputs[0].set_shape({rows_shape[0], width});
  if (rows_shape[0] == 0) return true;
  const Source from{inputs[0].data<const float>(), inputs[1].data<const float>(), inputs[2].data<const float>(),
                    inputs[3].data<const float>(), rows};
  connect_all(weights, attributes_, true, from, {.x = outputs[0].data<float>()}, static_cast<int64_t>(rows_shape[0]));
  return true;
}

}  // namespace dsv4::ops
