// Manifold-constrained hyper-connections (spec 2.3): hc residual streams, mixed before and after every sublayer by Sinkhorn-normalised weights.
#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/loop.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/sigmoid.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

namespace {

// [T,hc,hc] -> rows (axis 2) or columns (axis 1) divided by their sum + eps.
Value normalize(const Value& c, int64_t axis, float eps) {
  return keep_f32(div(c, keep_f32(add(keep_f32(reduce_sum(c, axis, true)), f32(eps)))));
}

// comb logits [T,hc,hc] -> row softmax + eps, column step, then iterations-1 times row and column step. A Loop, because the unrolled sites of a
// 43-layer model take many times longer to compile. Its body does the first row step too, which is to give P + eps of the softmax P: started from
// -(P + eps) / hc, whose rows sum to -(1 + hc*eps) / hc, the divisor sum + eps is -1 / hc, and the quotient is P + eps.
Value sinkhorn(const Value& logits, int64_t hc, int64_t iterations, float eps) {
  const Value start = keep_f32(mul(keep_f32(add(keep_f32(softmax(logits, 2)), f32(eps))), f32(-1.0f / static_cast<float>(hc))));

  const auto c = std::make_shared<op::v0::Parameter>(ov::element::f32, ov::PartialShape{-1, hc, hc});
  const Value next = normalize(normalize(c, 2, eps), 1, eps);
  const Value go_on = std::make_shared<op::v0::Constant>(ov::element::boolean, ov::Shape{}, true);
  const auto body = std::make_shared<ov::Model>(ov::OutputVector{go_on, next}, ov::ParameterVector{c}, "sinkhorn");

  const auto loop = std::make_shared<op::v5::Loop>(std::make_shared<op::v0::Constant>(ov::element::i64, ov::Shape{}, iterations),
                                                   std::make_shared<op::v0::Constant>(ov::element::boolean, ov::Shape{}, true));
  loop->set_function(body);
  loop->set_special_body_ports({-1, 0});
  loop->set_merged_input(c, start, next);
  return loop->get_iter_value(next, -1);
}

}  // namespace

Value PortableVocabulary::hyper_connect_mix(const Value& streams, const std::string& site, const std::vector<int32_t>& scale_index) {
  const int32_t width = static_cast<int32_t>(config_.hc_mult * config_.hidden_size);
  const Value flat = reshape(streams, {-1, width});  // [T,hc,D] -> [T,hc*D]
  const Value normed = nodes::rms_norm(flat, f32(std::vector<float>(static_cast<size_t>(width), 1.0f), {width}), config_.rms_norm_eps);
  const Value u = keep_f32(matmul(normed, weights_.matrix(site + "_fn"), false, true));  // [T,hc*D] -> [T,outputs of the site]
  const Value scale = gather(weights_.exact(site + "_scale"), i32(scale_index), 0);      // constant: one factor an output
  return keep_f32(add(keep_f32(mul(u, scale)), weights_.exact(site + "_base")));
}

HyperConnection PortableVocabulary::hyper_connect_pre(const Streams& streams, const std::string& site, const std::string& norm) {
  const int32_t hc = static_cast<int32_t>(config_.hc_mult);
  const float eps = static_cast<float>(config_.hc_eps);
  std::vector<int32_t> scale_index;  // hc pre, hc post, hc*hc comb
  for (int32_t i = 0; i < (2 + hc) * hc; ++i) scale_index.push_back(i < hc ? 0 : i < 2 * hc ? 1 : 2);

  const Value mix = hyper_connect_mix(streams.value, site, scale_index);                  // [T,(2+hc)*hc]
  const std::vector<Value> parts = split(reshape(mix, {-1, 2 + hc, hc}), 1, {1, 1, hc});  // [T,1,hc] [T,1,hc] [T,hc,hc]
  const Value pre = keep_f32(add(keep_f32(std::make_shared<op::v0::Sigmoid>(parts[0])), f32(eps)));
  const Value post = keep_f32(mul(keep_f32(std::make_shared<op::v0::Sigmoid>(parts[1])), f32(2.0f)));
  const Value comb = sinkhorn(parts[2], hc, config_.hc_sinkhorn_iters, eps);
  return {rms_norm(keep_f32(matmul(pre, streams.value)), norm), streams.value, post, comb};  // [T,1,hc] x [T,hc,D] -> [T,1,D]
}

Streams PortableVocabulary::hyper_connect_post(const HyperConnection& connection, const Value& output) {
  const int32_t hc = static_cast<int32_t>(config_.hc_mult);
  // X'_k = post_k * o + sum_j C_jk * X_j: the sum is over the first index of C.
  const Value mixed = keep_f32(matmul(connection.comb, connection.residual, true, false));          // [T,hc,hc]^T x [T,hc,D] -> [T,hc,D]
  return {keep_f32(add(keep_f32(mul(reshape(connection.post, {-1, hc, 1}), output)), mixed)), {}};  // [T,hc,1] * [T,1,D] + [T,hc,D]
}

Value PortableVocabulary::hyper_connect_head(const Streams& streams, const std::string& site, const std::string& norm) {
  const int32_t hc = static_cast<int32_t>(config_.hc_mult);
  const Value mix = hyper_connect_mix(streams.value, site, std::vector<int32_t>(static_cast<size_t>(hc), 0));  // [T,hc]
  const Value pre = keep_f32(add(keep_f32(std::make_shared<op::v0::Sigmoid>(mix)), f32(static_cast<float>(config_.hc_eps))));
  return rms_norm(keep_f32(matmul(reshape(pre, {-1, 1, hc}), streams.value)), norm);  // [T,1,hc] x [T,hc,D] -> [T,1,D]
}

}  // namespace dsv4
