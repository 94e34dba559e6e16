// The core of attention (spec 2.6, 2.7): each token's heads over its window rows and entries, keys and values at once, softmax with a sink.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/attention/attention_attributes.h"
#include "ops/attention/cache_view.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct SparseCore {
  const AttentionAttributes& a;
  const CacheView& cache;
  int64_t tokens = 0;
  int64_t first = 0;             ///< position of the first of them
  float* heads_out = nullptr;    ///< [tokens, H*hd]: the queries as the product gives them; replaced by what the heads give, rotated back
  const float* sinks = nullptr;  ///< [H]
  RopeTable rope = {};           ///< row t is that of token t

  int64_t call_first = 0;                ///< positions from this one on are in call_rows, those before in the ring of the cache
  const std::byte* call_rows = nullptr;  ///< [.., hd]
  int64_t first_selected = 0;            ///< token whose entries are the first row of `selected`
  const int32_t* selected = nullptr;     ///< [.., index_topk]

  /// Entries of a token that sees more of them are `selected`; 0: it sees all.
  int64_t topk() const { return a.overlap ? a.index_topk : 0; }
  int64_t window_rows(int64_t token) const { return std::min(first + token + 1, a.window); }
  int64_t entry_rows(int64_t token) const {
    const int64_t visible = a.ratio == 0 ? 0 : (first + token + 1) / a.ratio;
    return topk() > 0 ? std::min(visible, topk()) : visible;
  }
  int64_t rows(int64_t token) const { return window_rows(token) + entry_rows(token); }
  /// Row i of those that a token sees: its window, then its entries.
  const std::byte* row(int64_t token, int64_t i) const {
    const int64_t bytes = a.head_dim * value_bytes(cache.type), in_window = window_rows(token);
    if (i < in_window) {
      const int64_t position = first + token + 1 - in_window + i;
      return position >= call_first ? call_rows + (position - call_first) * bytes : cache.window.at(position);
    }
    i -= in_window;
    if (topk() > 0 && token >= first_selected) i = selected[(token - first_selected) * topk() + i];
    return cache.entries + i * bytes;
  }
};

void attend(const SparseCore& core, Scratch& scratch);

}  // namespace dsv4::ops
