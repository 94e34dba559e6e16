// The KV compressor (spec 2.10) and the indexer that selects among its entries (spec 2.11).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reference/choices.h"
#include "reference/linear_algebra.h"
#include "reference/rope.h"
#include "reference/stored_weights.h"

namespace dsv4::reference {

/// One layer's place in the model and how it is computed.
struct LayerContext {
  const StoredWeights& weights;
  const LayerConfig& layer;
  std::string prefix;  ///< "layers.0."
  bool simulate_cache_quantization;
  int threads;
  LayerChoices& choices;
  int64_t first_row;       ///< attention of the rows before is not asked for
  int64_t first_position;  ///< of row 0; not 0 only in layers without compression, whose rows see a window
};

/// The entries of all complete blocks of x [T, D], pooled, normed and rotated to their block's first position: [T / m, width].
/// `prefix` is that of the compressor's tensors: "layers.2.attn.compressor.".
Matrix compressed_entries(const LayerContext& context, const std::string& prefix, const Matrix& x, const RotaryTable& rope);

/// For every token the ascending entries that it attends to: the best index_topk of those visible at its position. Equal scores:
/// lowest entry. x [T, D] is the attention's input, qr [T, R] the normed query latent.
std::vector<std::vector<int32_t>> select_entries(const LayerContext& context, const Matrix& x, const Matrix& qr, const RotaryTable& rope);

}  // namespace dsv4::reference
