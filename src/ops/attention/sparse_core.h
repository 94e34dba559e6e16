// The core of attention (spec 2.6, 2.7): each token's heads over its window rows and entries, keys and values at once, softmax with a sink.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/attention/attention_attributes.h"
#include "ops/attention/rope.h"
#include "ops/attention/runs.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct SparseCore {
  const AttentionAttributes& a;
  const RowPlace* places = nullptr;  ///< [tokens]
  int64_t tokens = 0;
  float* heads_out = nullptr;    ///< [tokens, H*hd]: the queries as the product gives them; replaced by what the heads give, rotated back
  const float* sinks = nullptr;  ///< [H]
  RopeTable rope = {};           ///< row t is that of token t

  int64_t first_selected = 0;         ///< token whose entries are the first row of `selected`
  const int32_t* selected = nullptr;  ///< [.., index_topk], of tokens that see more entries

  /// Entries of a token that sees more of them are `selected`; 0: it sees all.
  int64_t topk() const { return a.overlap ? a.index_topk : 0; }
  CachePrecision type() const { return places->run->cache.type; }  ///< of all caches of a call
  int64_t window_rows(int64_t token) const { return std::min(places[token].position + 1, a.window); }
  int64_t visible(int64_t token) const { return a.ratio == 0 ? 0 : (places[token].position + 1) / a.ratio; }
  int64_t entry_rows(int64_t token) const { return topk() > 0 ? std::min(visible(token), topk()) : visible(token); }
  int64_t rows(int64_t token) const { return window_rows(token) + entry_rows(token); }
  int64_t most_rows() const {
    int64_t most = 0;
    for (int64_t t = 0; t < tokens; ++t) most = std::max(most, rows(t));
    return most;
  }
  /// Row i of those that a token sees: its window, then its entries.
  const std::byte* row(int64_t token, int64_t i) const {
    const Run& run = *places[token].run;
    const int64_t bytes = a.head_dim * value_bytes(run.cache.type), in_window = window_rows(token);
    if (i < in_window) {  // those of this call are not in the ring yet
      const int64_t position = places[token].position + 1 - in_window + i;
      return position >= run.position ? run.window_rows + (position - run.position) * bytes : run.cache.window.at(position);
    }
    i -= in_window;
    if (topk() > 0 && visible(token) > topk()) i = selected[(token - first_selected) * topk() + i];
    return run.cache.entries + i * bytes;
  }
};

void attend(const SparseCore& core, Scratch& scratch);

}  // namespace dsv4::ops
