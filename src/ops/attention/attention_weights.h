// The weights of an Attention op by name: their order among its inputs, and their shapes.
#pragma once

#include <span>
#include <vector>

#include "ops/attention/attention.h"

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

/// Number of weights that an op with these attributes has.
size_t weight_count(const AttentionAttributes& attributes);

/// Names for weight_count() weights in the op's order. Exact values that lie unaligned in a mapped file are copied to `scratch`.
AttentionWeights name_weights(std::span<const PackedMatrix> weights, const AttentionAttributes& attributes, Scratch& scratch);

/// ov::NodeValidationFailure naming the first weight, or attribute, that does not fit the others.
void check_attributes(const ov::Node* node, const AttentionAttributes& attributes);
void check_weights(const ov::Node* node, std::span<const PackedMatrix> weights, const AttentionAttributes& attributes);

}  // namespace dsv4::ops
