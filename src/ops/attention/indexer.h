// The indexer (spec 2.11): scores the visible entries of a layer for each token and selects the best.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/cache.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

struct Indexer {
  int64_t tokens = 0;
  int64_t first = 0;  ///< position of the first of them; each sees more than topk entries
  int64_t ratio = 0;
  int64_t heads = 0;
  int64_t dims = 0;
  int64_t topk = 0;
  float* q = nullptr;              ///< [tokens, heads*dims] as the product gives them; changed
  const float* weights = nullptr;  ///< [tokens, heads] as the product gives them
  RopeTable rope;                  ///< row t is that of token t
  bool fp4 = false;                ///< q goes through Hadamard and FP4 as the keys did
  CachePrecision type = CachePrecision::kF32;
  const std::byte* keys = nullptr;  ///< in the cache, [capacity/m, dims]

  int64_t visible(int64_t token) const { return (first + token + 1) / ratio; }
};

/// selected [tokens, topk]: of each token the entries with the largest scores, ascending; of equal scores the lower entries.
void select_entries(const Indexer& indexer, int32_t* selected, Scratch& scratch);

/// The k places of the largest of n scores, ascending; of equal ones the first. 0 < k <= n. A NaN takes some place.
void select_largest(const float* scores, int64_t n, int64_t k, int32_t* places);

}  // namespace dsv4::ops
