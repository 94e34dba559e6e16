// Op Attention: one layer's attention over its cache (spec 2.5 to 2.11): projections, RoPE, compressors, indexer, softmax with sinks, grouped output.
#pragma once

#include <vector>

#include "openvino/op/op.hpp"
#include "ops/attention/cache.h"
#include "ops/matrix/multiply.h"
#include "ops/support/op_inputs.h"

namespace dsv4::ops {

struct AttentionAttributes {
  int64_t layer = 0;  ///< place in the cache
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t rope_dim = 0;
  int64_t groups = 1;  ///< G of the output projection
  int64_t window = 0;
  int64_t ratio = 0;     ///< m; 0: no compressor
  bool overlap = false;  ///< overlapping compressor and an indexer
  int64_t index_heads = 0;
  int64_t index_head_dim = 0;
  int64_t index_topk = 0;
  double norm_eps = 1e-6;
  ActivationRounding mode = ActivationRounding::kF32;
  bool quantize_cache = false;  ///< round what is cached as the model was trained (spec 2.9 ii)
};

/// Inputs: x f32 [T,D], normalised; position i32 [1], tokens before this call; cache u8 [bytes], written in place (attention/cache.h; ov::Exception when its
/// header does not fit the attributes or position + T exceeds its capacity); frequencies f32 [rope_dim/2] of RoPE; weights: wq_a [R,D], q_norm [R],
/// wq_b [H*hd,R], wkv [hd,D], kv_norm [hd], attn_sink [H], wo_a: G x [r, H*hd/G], wo_b [D,G*r]; with a compressor its wkv [c*hd,D], wgate [c*hd,D], ape [m,c*hd],
/// norm [hd], c = 2 with overlap, else 1; with overlap the indexer's wq_b [Hi*hi,R], weights_proj [Hi,D], and its compressor's wkv, wgate [2hi,D], ape
/// [m,2hi], norm [hi]. Output: f32 [T,D].
/// Tokens are those of one sequence, in order. Any split of a sequence into calls gives the same values to float32 rounding.
class Attention final : public ov::op::Op {
 public:
  OPENVINO_OP("Attention", "dsv4")

  Attention() = default;
  Attention(const ov::Output<ov::Node>& x, const ov::Output<ov::Node>& position, const ov::Output<ov::Node>& cache,
            const ov::Output<ov::Node>& frequencies, const WeightInputs& weights, const AttentionAttributes& attributes);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

 private:
  OpWeights weights_;
  AttentionAttributes attributes_;
};

}  // namespace dsv4::ops
