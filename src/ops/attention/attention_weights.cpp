// Order and shapes of the weights of an Attention op.
#include "ops/attention/attention_weights.h"

#include "ops/attention/cache_view.h"

namespace dsv4::ops {

size_t weight_count(const AttentionAttributes& a) {
  return 7 + static_cast<size_t>(a.groups) + (a.ratio > 0 ? 4 : 0) + (a.overlap ? 6 : 0);
}

AttentionWeights name_weights(std::span<const PackedMatrix> weights, const AttentionAttributes& a, Scratch& scratch) {
  AttentionWeights w;
  size_t next = 0;
  const auto matrix = [&] { return &weights[next++]; };
  const auto exact = [&] { return exact_values(weights[next++], scratch); };
  const auto compressor = [&](CompressorWeights& c) {
    c.wkv = matrix();
    c.wgate = matrix();
    c.ape = exact();
    c.norm = exact();
  };
  w.wq_a = matrix();
  w.q_norm = exact();
  w.wq_b = matrix();
  w.wkv = matrix();
  w.kv_norm = exact();
  w.sinks = exact();
  w.wo_a = weights.subspan(next, static_cast<size_t>(a.groups));
  next += static_cast<size_t>(a.groups);
  w.wo_b = matrix();
  if (a.ratio > 0) compressor(w.compressor);
  if (a.overlap) {
    w.index_wq_b = matrix();
    w.weights_proj = matrix();
    compressor(w.index_compressor);
  }
  return w;
}

void check_attributes(const ov::Node* node, const AttentionAttributes& a) {
  const auto within = [&](int64_t value, int64_t least, int64_t most, const char* what) {
    NODE_VALIDATION_CHECK(node, value >= least && value <= most, what, " is ", value, "; expected ", least, " to ", most);
  };
  within(a.layer, 0, kMostLayers - 1, "layer");
  within(a.heads, 1, kMostDims, "heads");
  within(a.head_dim, 1, kMostDims, "head_dim");
  within(a.rope_dim, 0, a.head_dim, "rope_dim");
  within(a.groups, 1, a.heads, "groups");
  within(a.window, 1, kMostDims, "window");
  within(a.ratio, a.overlap ? 1 : 0, kMostDims, "ratio");
  NODE_VALIDATION_CHECK(node, a.norm_eps >= 0.0 && a.norm_eps <= 1.0, "norm_eps is ", a.norm_eps, "; expected 0 to 1");
  NODE_VALIDATION_CHECK(node, a.rope_dim % 2 == 0, "rope_dim is ", a.rope_dim, "; expected an even number");
  NODE_VALIDATION_CHECK(node, a.heads % a.groups == 0, a.heads, " heads in ", a.groups, " groups");
  if (!a.overlap) return;
  within(a.index_heads, 1, kMostDims, "index_heads");
  within(a.index_head_dim, 1, kMostDims, "index_head_dim");
  within(a.rope_dim, 0, a.index_head_dim, "rope_dim");
  within(a.index_topk, 1, kMostPositions, "index_topk");
  NODE_VALIDATION_CHECK(node, !a.quantize_cache || (a.index_head_dim & (a.index_head_dim - 1)) == 0, "index_head_dim is ", a.index_head_dim,
                        "; the Hadamard transform of a quantised cache needs a power of two");
}

void check_weights(const ov::Node* node, std::span<const PackedMatrix> weights, const AttentionAttributes& a) {
  NODE_VALIDATION_CHECK(node, weights.size() == weight_count(a), weights.size(), " weights; expected ", weight_count(a));
  size_t next = 0;
  const auto matrix = [&](const char* name, int64_t rows, int64_t cols) {
    const PackedMatrix& m = weights[next++];
    NODE_VALIDATION_CHECK(node, m.rows == rows && m.cols == cols, name, " is [", m.rows, ",", m.cols, "]; expected [", rows, ",", cols,
                          "]");
  };
  const auto exact = [&](const char* name, int64_t rows, int64_t cols) {
    NODE_VALIDATION_CHECK(node, weights[next].type == NumberFormat::kF32, name, " has to be float32");
    matrix(name, rows, cols);
  };
  const int64_t hidden = weights[0].cols, q_rank = weights[0].rows, width = a.heads * a.head_dim;
  const int64_t o_rank = weights[6].rows;
  const auto compressor = [&](int64_t dims) {
    const int64_t raw = (a.overlap ? 2 : 1) * dims;
    matrix("compressor.wkv", raw, hidden);
    matrix("compressor.wgate", raw, hidden);
    exact("compressor.ape", a.ratio, raw);
    exact("compressor.norm", 1, dims);
  };
  matrix("wq_a", q_rank, hidden);
  exact("q_norm", 1, q_rank);
  matrix("wq_b", width, q_rank);
  matrix("wkv", a.head_dim, hidden);
  exact("kv_norm", 1, a.head_dim);
  exact("attn_sink", 1, a.heads);
  for (int64_t g = 0; g < a.groups; ++g) matrix("wo_a", o_rank, width / a.groups);
  matrix("wo_b", hidden, a.groups * o_rank);
  if (a.ratio > 0) compressor(a.head_dim);
  if (!a.overlap) return;
  matrix("indexer.wq_b", a.index_heads * a.index_head_dim, q_rank);
  matrix("indexer.weights_proj", a.index_heads, hidden);
  compressor(a.index_head_dim);
}

}  // namespace dsv4::ops
