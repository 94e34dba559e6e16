// Mixture of experts (spec 2.12): sqrt-softplus router or hash table, clamped SwiGLU experts, a shared expert.
#include <limits>

#include "checkpoint/names.h"
#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "openvino/op/clamp.hpp"
#include "openvino/op/gather_elements.hpp"
#include "openvino/op/gather_nd.hpp"
#include "openvino/op/grouped_matmul.hpp"
#include "openvino/op/scatter_update.hpp"
#include "openvino/op/search_sorted.hpp"
#include "openvino/op/softplus.hpp"
#include "openvino/op/sqrt.hpp"
#include "openvino/op/swish.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

std::pair<Value, Value> PortableVocabulary::route(const Value& x, const LayerConfig& layer, const std::string& prefix) {
  const int32_t k = static_cast<int32_t>(config_.num_experts_per_tok);
  const Value logits = keep_f32(linear(x, prefix + ".gate.weight"));  // [T,1,D] -> [T,1,E]
  const Value scores = keep_f32(std::make_shared<op::v0::Sqrt>(keep_f32(std::make_shared<op::v4::SoftPlus>(logits))));
  // The bias takes part in the selection only; hash layers take the ids of the token as stored.
  const Value ids = layer.hash_routed ? gather(weights_.exact(prefix + ".gate.tid2eid"), call_->ids(), 0)
                                      : top_k(keep_f32(add(scores, weights_.exact(prefix + ".gate.bias"))), i32(k), 2);  // i32 [T,1,K]
  const Value picked = keep_f32(std::make_shared<op::v6::GatherElements>(scores, ids, 2));                               // [T,1,K]
  const Value factor = f32(static_cast<float>(config_.routed_scaling_factor));
  return {ids, mul(div(picked, reduce_sum(picked, 2, true)), factor)};
}

Value PortableVocabulary::swiglu(const Value& gate, const Value& up) {
  if (config_.swiglu_limit <= 0.0) return mul(std::make_shared<op::v4::Swish>(gate), up);
  // The gate is clamped from above only.
  const float limit = static_cast<float>(config_.swiglu_limit);
  const Value g = minimum(gate, f32(limit));
  const Value u = std::make_shared<op::v0::Clamp>(up, -config_.swiglu_limit, config_.swiglu_limit);
  return mul(std::make_shared<op::v4::Swish>(g), u);
}

Value PortableVocabulary::experts(const Value& x, const Block& block) {
  const std::string prefix = block.prefix + ".ffn", shared_prefix = prefix + ".shared_experts.";
  const auto [ids, weights] = route(x, block.kind, prefix);  // [T,1,K], [T,1,K]
  const Value shared =
      linear(swiglu(linear(x, shared_prefix + "w1.weight"), linear(x, shared_prefix + "w3.weight")), shared_prefix + "w2.weight");
  return expert_form_ == ExpertForm::kGather ? gathered_experts(x, shared, ids, weights, block)
                                             : grouped_experts(x, shared, ids, weights, block);
}

Value PortableVocabulary::grouped_experts(const Value& x, const Value& shared, const Value& ids, const Value& weights, const Block& block) {
  const int32_t width = static_cast<int32_t>(config_.moe_intermediate_size);
  const int32_t k = static_cast<int32_t>(config_.num_experts_per_tok);

  // The T*K (token, expert) rows in the order of experts, which is what GroupedMatMul takes; only routed experts are computed.
  const Value row_ids = reshape(ids, {-1}), count = mul(call_->tokens(), i32(k));  // [T*K], scalar
  const Value places = ascending(row_ids, count);                                  // [T*K]
  // (token, 0) of each row: place / K, and a divisor beyond every place.
  const Value token = div(reshape(places, {-1, 1}), i32({k, std::numeric_limits<int32_t>::max()}, {1, 2}));  // [T*K,2]
  std::vector<int32_t> expert_ids(static_cast<size_t>(config_.n_routed_experts));
  for (size_t e = 0; e < expert_ids.size(); ++e) expert_ids[e] = static_cast<int32_t>(e);
  const Value ends = std::make_shared<op::v15::SearchSorted>(gather(row_ids, places, 0), i32(expert_ids), true,
                                                             ov::element::i32);  // [E]: rows of experts 0..e
  const Value rows = std::make_shared<op::v8::GatherND>(x, token);               // [T,1,D] -> [T*K,D]

  const auto grouped = [&](const Value& a, const std::string& name) -> Value {
    return std::make_shared<ov::op::v17::GroupedMatMul>(a, weights_.matrix(name), ends);
  };
  const std::vector<Value> gate_up = split(grouped(rows, gate_up_stack_name(block.prefix)), 1, {width, width});  // 2 x [T*K,I]
  const Value row_weight = gather(reshape(weights, {-1, 1}), places, 0);                                         // [T*K,1]
  const Value hidden = mul(swiglu(gate_up[0], gate_up[1]), row_weight);
  const Value routed = grouped(hidden, down_stack_name(block.prefix));  // [T*K,D]

  // Back to the order of tokens, and each token's K rows added. Not a scatter that sums: Intel's GPU plugin has none.
  const Value order = range(count);                                                                  // [T*K]
  const Value row_of_place = std::make_shared<op::v3::ScatterUpdate>(order, places, order, i32(0));  // [T*K]: the inverse of places
  const Value by_token = reshape(gather(routed, row_of_place, 0), {-1, k, static_cast<int32_t>(config_.hidden_size)});  // [T,K,D]
  return add(shared, reduce_sum(by_token, 1, true));                                                                    // [T,1,D]
}

}  // namespace dsv4
