// The KV compressors (spec 2.10): blocks of m positions pooled into one entry of a list, channel by channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/attention/cache.h"
#include "ops/attention/rope.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

/// One compressor in one call.
struct Compressor {
  CacheLayer layer;
  int64_t dims = 0;            ///< h: of an entry
  int64_t first = 0;           ///< position of the call's first token
  int64_t tokens = 0;          ///< T
  const float* raw = nullptr;  ///< [T, raw_row_floats]: K and Z without ape
  float* tail = nullptr;       ///< in the cache, ring of raw rows
  const float* ape = nullptr;  ///< [m, c*h]
  const float* norm = nullptr;
  float norm_eps = 0.0f;
  CachePrecision type = CachePrecision::kF32;
  std::byte* entries = nullptr;  ///< in the cache, [capacity/m, h]
  int64_t fp8_dims = 0;          ///< leading dims of an entry that are rounded through FP8
  bool fp4 = false;              ///< entries go through Hadamard and FP4

  int64_t first_entry() const { return first / layer.ratio; }  ///< that this call completes, if any
  int64_t end_entry() const { return (first + tokens) / layer.ratio; }
};

/// Writes the entries that this call completes to the list, and then the call's last raw rows to the tail. `rope`: row i is position (first_entry() + i) * m.
void append_entries(const Compressor& compressor, const RopeTable& rope, Scratch& scratch);

}  // namespace dsv4::ops
