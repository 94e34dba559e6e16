// The weights of an Attention op: the one list of their names, order and shapes.
#pragma once

#include <span>
#include <vector>

#include "ops/attention/attention_attributes.h"
#include "ops/attention/cache_view.h"
#include "ops/support/op_inputs.h"
#include "ops/support/op_times.h"

namespace dsv4::ops {

struct CompressorWeights {
  const PackedMatrix* wkv = nullptr;    ///< [c*h, D]
  const PackedMatrix* wgate = nullptr;  ///< [c*h, D]
  const float* ape = nullptr;           ///< [m, c*h]
  const float* norm = nullptr;          ///< [h]
};

struct AttentionWeights {
  const PackedMatrix* wq_a = nullptr;  ///< [R, D]
  const float* q_norm = nullptr;       ///< [R]
  const PackedMatrix* wq_b = nullptr;  ///< [H*hd, R]
  const PackedMatrix* wkv = nullptr;   ///< [hd, D]
  const float* kv_norm = nullptr;      ///< [hd]
  const float* sinks = nullptr;        ///< [H]
  std::span<const PackedMatrix> wo_a;  ///< G x [r, H*hd/G]
  const PackedMatrix* wo_b = nullptr;  ///< [D, G*r]
  CompressorWeights compressor;        ///< with a ratio
  // With overlap:
  const PackedMatrix* index_wq_b = nullptr;    ///< [Hi*hi, R]
  const PackedMatrix* weights_proj = nullptr;  ///< [Hi, D]
  CompressorWeights index_compressor;

  int64_t hidden() const { return wq_a->cols; }    ///< D
  int64_t q_rank() const { return wq_a->rows; }    ///< R
  int64_t o_rank() const { return wo_a[0].rows; }  ///< r
};

/// What the shapes of an op's weights depend on beside its attributes.
struct AttentionSizes {
  int64_t hidden = 0, q_rank = 0, o_rank = 0;  ///< D, R, r
};

/// A weight of the op.
struct WeightPlace {
  const char* name;  ///< in the checkpoint, behind the prefix of the block's attention
  OpPart part;       ///< what of the op reads it
  int64_t rows, cols;
  bool selecting = false;  ///< read for tokens alone that see more entries than they may select
};

/// The one list of an op's weights, in the order in which they are its inputs: f(member of `w`, place) for each. Members are matrices (const PackedMatrix*), exact
/// float32 values (const float*), and the output projection's groups of rows (a span of matrices, `place` that of each).
template <class F>
void for_each_weight(AttentionWeights& w, const AttentionAttributes& a, const AttentionSizes& s, const F& f) {
  using enum OpPart;
  const int64_t width = a.heads * a.head_dim;
  f(w.wq_a, WeightPlace{"wq_a.weight", kAttentionInputs, s.q_rank, s.hidden});
  f(w.q_norm, WeightPlace{"q_norm.weight", kAttentionInputs, 1, s.q_rank});
  f(w.wq_b, WeightPlace{"wq_b.weight", kAttentionQueries, width, s.q_rank});
  f(w.wkv, WeightPlace{"wkv.weight", kAttentionInputs, a.head_dim, s.hidden});
  f(w.kv_norm, WeightPlace{"kv_norm.weight", kAttentionInputs, 1, a.head_dim});
  f(w.sinks, WeightPlace{"attn_sink", kAttentionCore, 1, a.heads});
  f(w.wo_a, WeightPlace{"wo_a.weight", kAttentionOutput, s.o_rank, width / a.groups});
  f(w.wo_b, WeightPlace{"wo_b.weight", kAttentionOutput, s.hidden, a.groups * s.o_rank});
  if (a.ratio > 0) {
    const int64_t raw = raw_row_floats(a.compression(), a.head_dim) / 2;  // c*hd
    CompressorWeights& c = w.compressor;
    f(c.wkv, WeightPlace{"compressor.wkv.weight", kAttentionInputs, raw, s.hidden});
    f(c.wgate, WeightPlace{"compressor.wgate.weight", kAttentionInputs, raw, s.hidden});
    f(c.ape, WeightPlace{"compressor.ape", kAttentionInputs, a.ratio, raw});
    f(c.norm, WeightPlace{"compressor.norm.weight", kAttentionInputs, 1, a.head_dim});
  }
  if (a.overlap) {
    const int64_t raw = raw_row_floats(a.compression(), a.index_head_dim) / 2;  // 2*hi
    CompressorWeights& c = w.index_compressor;
    f(w.index_wq_b, WeightPlace{"indexer.wq_b.weight", kAttentionQueries, a.index_heads * a.index_head_dim, s.q_rank, true});
    f(w.weights_proj, WeightPlace{"indexer.weights_proj.weight", kAttentionInputs, a.index_heads, s.hidden});
    f(c.wkv, WeightPlace{"indexer.compressor.wkv.weight", kAttentionInputs, raw, s.hidden});
    f(c.wgate, WeightPlace{"indexer.compressor.wgate.weight", kAttentionInputs, raw, s.hidden});
    f(c.ape, WeightPlace{"indexer.compressor.ape", kAttentionInputs, a.ratio, raw});
    f(c.norm, WeightPlace{"indexer.compressor.norm.weight", kAttentionInputs, 1, a.index_head_dim});
  }
}

/// The op's weights by name. Exact values that lie unaligned in a mapped file are copied to `scratch`.
AttentionWeights name_weights(std::span<const PackedMatrix> weights, const AttentionAttributes& attributes, Scratch& scratch);

/// ov::NodeValidationFailure naming the first weight, or attribute, that does not fit the others.
void check_attributes(const ov::Node* node, const AttentionAttributes& attributes);
void check_weights(const ov::Node* node, std::span<const PackedMatrix> weights, const AttentionAttributes& attributes);

}  // namespace dsv4::ops
