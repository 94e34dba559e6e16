// Manifold-constrained hyper-connections (spec 2.3): how hc residual streams feed a sublayer and take its output back.
#pragma once

#include <cstdint>
#include <string>

#include "reference/linear_algebra.h"
#include "reference/stored_weights.h"

namespace dsv4::reference {

/// What hc_pre hands on. Streams are [T, hc*D], stream-major in each row.
struct HyperInput {
  Matrix y;       ///< [T, D]: Σ_j pre_j X_j, the sublayer's input before its norm
  Matrix64 post;  ///< [T, hc]
  Matrix64 comb;  ///< [T, hc*hc]: C_jk at j*hc + k
};

/// `site` is the tensor prefix: "layers.0.hc_attn_".
HyperInput hyper_pre(const StoredWeights& weights, const std::string& site, const Matrix& streams, int threads);

/// X'_k = post_k * output + Σ_j C_jk X_j, in place.
void hyper_post(const HyperInput& site, const Matrix& output, Matrix& streams, int threads);

/// The streams joined into one [T, D] after the last block, with the tensors `prefix` + hc_head_*.
Matrix hyper_head(const StoredWeights& weights, const std::string& prefix, const Matrix& streams, int threads);

}  // namespace dsv4::reference
