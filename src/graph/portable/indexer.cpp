// The indexer of layers with overlapping compressors (spec 2.11): scores entries with its own heads and keeps the top-k a token.
#include <cmath>

#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "openvino/op/relu.hpp"
#include "openvino/op/scatter_elements_update.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

Value PortableVocabulary::indexed_mask(const Value& x, const Value& q_latent, const Value& index_keys, const LayerConfig& layer,
                                       const std::string& prefix) {
  const int32_t heads = static_cast<int32_t>(config_.index_n_heads), hd = static_cast<int32_t>(config_.index_head_dim);
  const BlockPositions& blocks = call_->blocks(layer, index_keys);

  // The Hadamard rotation of queries and keys cancels in their product and is left out.
  const Value q = apply_rope(reshape_to(linear(q_latent, prefix + ".indexer.wq_b.weight"),
                                        shape_of({call_->batch(), call_->length(), i32(std::vector<int32_t>{heads, hd})})),
                             call_->query_rope(true, hd), {hd}, config_.qk_rope_head_dim);    // [B,S,Hi,hdi]
  const Value affinity = std::make_shared<op::v0::Relu>(matmul(q, index_keys, false, true));  // [B,S,Hi,capacity]
  const float scale = 1.0f / std::sqrt(static_cast<float>(hd) * static_cast<float>(heads));
  const Value head_weights = reshape_to(mul(linear(x, prefix + ".indexer.weights_proj.weight"), f32(scale)),
                                        shape_of({call_->batch(), call_->length(), i32(std::vector<int32_t>{1, heads})}));  // [B,S,1,Hi]
  const Value score = add(matmul(head_weights, affinity), blocks.visible);  // [B,S,1,capacity]

  // Ranks beyond the number of visible entries hold masked ones: they stay masked.
  const Value chosen = top_k(score, blocks.selected, 3, true)[1];  // i32 [B,S,1,selected]
  return std::make_shared<op::v12::ScatterElementsUpdate>(call_->keys(layer).indexed_mask, chosen, blocks.selected_mask,
                                                          i32(3));  // [B,S,1,N]
}

}  // namespace dsv4
