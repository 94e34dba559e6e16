// What an Attention op knows of its layer: the attributes of its node, which its steps share.
#pragma once

#include <cstdint>

#include "ops/attention/cache.h"
#include "ops/matrix/multiply.h"

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

  CacheLayer compression() const { return {ratio, overlap}; }
};

}  // namespace dsv4::ops
