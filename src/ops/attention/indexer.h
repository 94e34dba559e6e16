// The indexer (spec 2.11): scores the visible entries of a layer for each token and selects the best.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/attention_attributes.h"
#include "ops/attention/rope.h"
#include "ops/attention/runs.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct Indexer {
  const AttentionAttributes& a;
  const RowPlace* places = nullptr;  ///< [tokens]
  int64_t tokens = 0;
  float* q = nullptr;              ///< [tokens, heads*dims] as the product gives them; changed
  const float* weights = nullptr;  ///< [tokens, heads] as the product gives them
  RopeTable rope = {};             ///< row t is that of token t

  int64_t visible(int64_t token) const { return (places[token].position + 1) / a.ratio; }
  bool selects(int64_t token) const { return visible(token) > a.index_topk; }
};

/// selected [tokens, index_topk]: of each token that sees more of them the entries with the largest scores, ascending; of equal scores the lower entries.
void select_entries(const Indexer& indexer, int32_t* selected, Scratch& scratch);

/// The k places of the largest of n scores, ascending; of equal ones the first. 0 < k <= n. A NaN takes some place.
void select_largest(const float* scores, int64_t n, int64_t k, int32_t* places);

}  // namespace dsv4::ops
