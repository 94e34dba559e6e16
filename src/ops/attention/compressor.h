// The KV compressors (spec 2.10): blocks of m positions pooled into one entry of a list, channel by channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/attention/attention_weights.h"
#include "ops/attention/rope.h"
#include "ops/attention/runs.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

/// One compressor in one run of a call: that of the entries, or the indexer's.
struct Compressor {
  const AttentionAttributes& a;
  const Run& run;
  const CompressorWeights& weights;
  bool of_index = false;
  const float* raw = nullptr;  ///< [rows of the run, raw_row_floats]: K and Z without ape
  RopeTable rope = {};         ///< row i is position (first_entry() + i) * m

  int64_t dims() const { return of_index ? a.index_head_dim : a.head_dim; }                   ///< h: of an entry
  const Ring& tail() const { return of_index ? run.cache.index_tail : run.cache.tail; }       ///< of raw rows
  std::byte* entries() const { return of_index ? run.cache.index_keys : run.cache.entries; }  ///< [capacity/m, h]
  /// Leading dims of an entry that are rounded through FP8.
  int64_t fp8_dims() const { return a.quantize_cache && !of_index ? a.head_dim - a.rope_dim : 0; }
  bool fp4() const { return a.quantize_cache && of_index; }  ///< entries go through Hadamard and FP4

  int64_t first_entry() const { return run.position / a.ratio; }  ///< that this run completes, if any
  int64_t entries_made() const { return (run.position + run.rows) / a.ratio - first_entry(); }
};

/// Of the runs of a call: writes the entries that each completes to its list, and then its last raw rows to its tail.
void append_entries(std::span<const Compressor> compressors, Scratch& scratch);

}  // namespace dsv4::ops
