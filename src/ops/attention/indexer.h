// The indexer (spec 2.11): scores the visible entries of a layer for each token and selects the best.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/attention_attributes.h"
#include "ops/attention/cache_view.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct Indexer {
  const AttentionAttributes& a;
  const CacheView& cache;
  int64_t tokens = 0;
  int64_t first = 0;               ///< position of the first of them; each sees more than index_topk entries
  float* q = nullptr;              ///< [tokens, heads*dims] as the product gives them; changed
  const float* weights = nullptr;  ///< [tokens, heads] as the product gives them
  RopeTable rope = {};             ///< row t is that of token t

  int64_t visible(int64_t token) const { return (first + token + 1) / a.ratio; }
};

/// selected [tokens, index_topk]: of each token the entries with the largest scores, ascending; of equal scores the lower entries.
void select_entries(const Indexer& indexer, int32_t* selected, Scratch& scratch);

/// The k places of the largest of n scores, ascending; of equal ones the first. 0 < k <= n. A NaN takes some place.
void select_largest(const float* scores, int64_t n, int64_t k, int32_t* places);

}  // namespace dsv4::ops
