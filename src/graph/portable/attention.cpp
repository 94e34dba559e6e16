// Attention of one layer (spec 2.5 to 2.8): one key-value head, window and compressed rows, a sink a head, grouped output projection.
#include <cmath>

#include "graph/portable/nodes.h"
#include "graph/portable/portable.h"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

Value PortableVocabulary::attention(const Value& x, const Block& block) {
  const LayerConfig& layer = block.kind;
  const std::string prefix = block.prefix + ".attn";
  const bool compressed = layer.kind != LayerKind::kSliding;
  const int32_t heads = static_cast<int32_t>(config_.num_attention_heads), hd = static_cast<int32_t>(config_.head_dim);
  const int64_t window = config_.sliding_window;
  CallPositions& call = *call_;

  // Queries: low rank, RMS a head without weight (its factor carries the softmax scale), rotated.
  const Value q_latent = rms_norm(linear(x, prefix + ".wq_a.weight"), prefix + ".q_norm.weight");  // [T,1,D] -> [T,1,R]
  const Value q_heads = reshape_to(linear(q_latent, prefix + ".wq_b.weight"),
                                   shape_of({call.batch(), call.length(), i32(std::vector<int32_t>{heads, hd})}));  // [B,S,H,hd]
  const std::vector<float> softmax_scale(static_cast<size_t>(hd), 1.0f / std::sqrt(static_cast<float>(hd)));
  const Value q = apply_rope(nodes::rms_norm(q_heads, f32(softmax_scale, {hd}), config_.rms_norm_eps), call.query_rope(compressed, hd),
                             {hd}, config_.qk_rope_head_dim);

  // Key = value: one row a position.
  const Value kv_row =
      reshape_to(linear(x, prefix + ".wkv.weight"), shape_of({call.batch(), i32(1), call.length(), i32(hd)}));  // [T,1,D] -> [B,1,S,hd]
  const Value kv = apply_rope(rms_norm(kv_row, prefix + ".kv_norm.weight"), call.key_rope(compressed, hd), {hd}, config_.qk_rope_head_dim);

  // Key columns: compressed entries, the zero row, the last W-1 positions, this call's positions.
  const std::string window_state = prefix + ".window";
  const bool rank3 = !compressed;                                               // the others have their compressor's tail
  const Value past = state_->read_fixed_keys(window_state, window, hd, rank3);  // [B,1,W,hd]
  std::vector<Value> columns = {past, kv};
  Value mask;
  if (compressed) {
    Value entries = compressed_entries(x, layer, prefix);  // [B,1,capacity,width]
    if (layer.kind == LayerKind::kCsa) {
      const std::vector<Value> parts = split(entries, 3, {hd, static_cast<int32_t>(config_.index_head_dim)});
      entries = parts[0];
      mask = indexed_mask(x, q_latent, parts[1], layer, prefix);  // [B,S,1,N]
    }
    columns.insert(columns.begin(), entries);
  }
  const KeyPositions& positions = call.keys(layer);
  if (!mask.get_node()) mask = positions.mask;
  const Value keys = concat(columns, 2);                    // [B,1,N,hd]
  const Value kept = gather(keys, positions.kept_rows, 2);  // [B,1,W,hd]
  state_->write(window_state, rank3 ? reshape(kept, {0, static_cast<int32_t>(window), hd}) : kept);

  // The sink takes part in the softmax as the score of the zero row, so that it adds to the denominator alone.
  const Value sink = reshape(weights_.exact(prefix + ".attn_sink"), {1, 1, heads, 1});
  const Value scores = add(matmul(q, keys, false, true), mask);                   // [B,S,H,hd] x [B,1,N,hd]^T -> [B,S,H,N]
  const Value weights = softmax(select(positions.sink_column, sink, scores), 3);  // [B,S,H,N]
  const Value heads_out = apply_rope(matmul(weights, keys), call.inverse_query_rope(compressed, hd), {hd}, config_.qk_rope_head_dim);
  return grouped_output(heads_out, prefix);  // [B,S,H,hd] -> [T,1,D]
}

Value PortableVocabulary::grouped_output(const Value& heads_out, const std::string& prefix) {
  const int64_t groups = config_.o_groups;
  const int32_t group_width = static_cast<int32_t>(config_.num_attention_heads * config_.head_dim / groups);
  const Value o = reshape(heads_out, {-1, 1, static_cast<int32_t>(groups) * group_width});  // [B,S,H,hd] -> [T,1,H*hd]
  const std::string weight = prefix + ".wo_a.weight";
  if (groups == 1) return linear(linear(o, weight), prefix + ".wo_b.weight");

  // One matrix product a group: a batched product with constant weights would not run on packed weights.
  const std::vector<Value> inputs = split(o, 2, std::vector<int32_t>(static_cast<size_t>(groups), group_width));  // G x [T,1,H*hd/G]
  std::vector<Value> latents;
  for (int64_t g = 0; g < groups; ++g) {
    latents.push_back(matmul(inputs[static_cast<size_t>(g)], weights_.matrix_rows(weight, g, groups), false, true));  // [T,1,r]
  }
  return linear(concat(latents, 2), prefix + ".wo_b.weight");  // [T,1,G*r] -> [T,1,D]
}

}  // namespace dsv4
