// The KV compressors (spec 2.10): blocks of m positions pooled into one entry of a list, channel by channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/attention_weights.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

/// One compressor in one call: that of the entries, or the indexer's.
struct Compressor {
  const AttentionAttributes& a;
  const CacheView& cache;
  const CompressorWeights& weights;
  bool of_index = false;
  int64_t first = 0;           ///< position of the call's first token
  int64_t tokens = 0;          ///< T
  const float* raw = nullptr;  ///< [T, raw_row_floats]: K and Z without ape

  int64_t dims() const { return of_index ? a.index_head_dim : a.head_dim; }           ///< h: of an entry
  const Ring& tail() const { return of_index ? cache.index_tail : cache.tail; }       ///< of raw rows
  std::byte* entries() const { return of_index ? cache.index_keys : cache.entries; }  ///< [capacity/m, h]
  /// Leading dims of an entry that are rounded through FP8.
  int64_t fp8_dims() const { return a.quantize_cache && !of_index ? a.head_dim - a.rope_dim : 0; }
  bool fp4() const { return a.quantize_cache && of_index; }  ///< entries go through Hadamard and FP4

  int64_t first_entry() const { return first / a.ratio; }  ///< that this call completes, if any
  int64_t end_entry() const { return (first + tokens) / a.ratio; }
};

/// Writes the entries that this call completes to the list, and then the call's last raw rows to the tail. `rope`: row i is position (first_entry() + i) * m.
void append_entries(const Compressor& compressor, const RopeTable& rope, Scratch& scratch);

}  // namespace dsv4::ops
