// The core of attention (spec 2.6, 2.7): each token's heads over its window rows and entries, keys and values at once, softmax with a sink.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/attention/cache_view.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct SparseCore {
  int64_t tokens = 0;
  int64_t first = 0;  ///< position of the first of them
  int64_t heads = 0;
  int64_t head_dim = 0;
  float norm_eps = 0.0f;
  float* heads_out = nullptr;    ///< [tokens, H*hd]: the queries as the product gives them; replaced by what the heads give, rotated back
  const float* sinks = nullptr;  ///< [H]
  RopeTable rope;                ///< row t is that of token t

  CachePrecision type = CachePrecision::kF32;
  int64_t window = 0;                    ///< W
  const std::byte* ring = nullptr;       ///< [W, hd]: row of position p before `call_first` at p mod W
  int64_t call_first = 0;                ///< positions from this one on are in call_rows
  const std::byte* call_rows = nullptr;  ///< [.., hd]
  int64_t ratio = 0;                     ///< m; 0: no entries
  const std::byte* entries = nullptr;    ///< [capacity/m, hd]
  int64_t topk = 0;                      ///< entries of a token that sees more of them are `selected`; 0: it sees all
  int64_t first_selected = 0;            ///< token whose entries are the first row of `selected`
  const int32_t* selected = nullptr;     ///< [.., topk]

  int64_t window_rows(int64_t token) const { return std::min(first + token + 1, window); }
  int64_t entry_rows(int64_t token) const {
    const int64_t visible = ratio == 0 ? 0 : (first + token + 1) / ratio;
    return topk > 0 ? std::min(visible, topk) : visible;
  }
  int64_t rows(int64_t token) const { return window_rows(token) + entry_rows(token); }
  /// Row i of those that a token sees: its window, then its entries.
  const std::byte* row(int64_t token, int64_t i) const {
    const int64_t bytes = head_dim * value_bytes(type), in_window = window_rows(token);
    if (i < in_window) {
      const int64_t position = first + token + 1 - in_window + i;
      return position >= call_first ? call_rows + (position - call_first) * bytes : ring + position % window * bytes;
    }
    i -= in_window;
    if (topk > 0 && token >= first_selected) i = selected[(token - first_selected) * topk + i];
    return entries + i * bytes;
  }
};

void attend(const SparseCore& core, Scratch& scratch);

}  // namespace dsv4::ops
