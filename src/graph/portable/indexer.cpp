// The indexer of layers with overlapping compressors (spec 2.11): scores entries with its own heads and keeps the top-k a token.
#include <cmath>

#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"
#include "openvino/op/relu.hpp"

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
  const Value score = keep_f32(add(matmul(head_weights, affinity), blocks.visible));  // [B,S,1,capacity]

  // Where fewer entries are visible than may be selected, masked ones are among the chosen: they stay masked.
  const Value entries = select(largest_mask(score, blocks.selected, 3), blocks.visible, f32(kMasked));  // [B,S,1,capacity]
  return concat({entries, call_->window_mask()}, 3);                                                    // [B,S,1,N]
}

}  // namespace dsv4
