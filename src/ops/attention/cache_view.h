// One layer's part of a cache as its op sees it, checked before anything is read: the header may be hostile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/attention/cache.h"

namespace dsv4::ops {

constexpr int64_t kCacheAlignment = 64;
constexpr int64_t kMostLayers = 4096;
constexpr int64_t kMostDims = int64_t{1} << 20;
constexpr int64_t kMostPositions = (int64_t{1} << 31) - 1;  // positions are i32
constexpr int64_t kMostBytes = int64_t{1} << 60;            // no section size below overflows: 2^31 rows of 2^20 floats

/// Of the layout: what a cache holds where.
constexpr int64_t kCacheVersion = 2;

/// What the memory begins with; CacheLayerRecord of every layer follows.
struct CacheHeader {
  std::array<char, 8> magic = {'D', 'S', 'V', '4', 'K', 'V', '\r', '\n'};
  int64_t version = kCacheVersion;
  int64_t bytes = 0;
  int64_t type = 0;
  int64_t window = 0;
  int64_t head_dim = 0;
  int64_t index_head_dim = 0;
  int64_t capacity = 0;
  int64_t layers = 0;
};

struct CacheLayerRecord {
  int64_t ratio = 0;
  int64_t overlap = 0;
  CacheLayout::Layer place;
};

inline int64_t value_bytes(CachePrecision type) { return type == CachePrecision::kBF16 ? 2 : 4; }

/// A compressor's raw row of one position, K then Z: with overlap of two halves each. Tails are rings of such rows.
inline int64_t raw_row_floats(const CacheLayer& layer, int64_t dims) { return 2 * (layer.overlap ? 2 : 1) * dims; }
/// That an entry is pooled from.
inline int64_t raw_rows(const CacheLayer& layer) { return (layer.overlap ? 2 : 1) * layer.ratio; }

/// Rings of a layer, without their memory.
Ring window_ring(int64_t window, int64_t head_dim, CachePrecision type);
Ring tail_ring(const CacheLayer& layer, int64_t dims);

struct SectionBytes {
  int64_t window = 0, entries = 0, index_keys = 0, tail = 0, index_tail = 0;
};
SectionBytes section_bytes(const CacheLayer& layer, int64_t window, int64_t head_dim, int64_t index_head_dim, int64_t capacity,
                           CachePrecision type);

struct CacheView {
  CachePrecision type = CachePrecision::kF32;
  int64_t capacity = 0;
  Ring window;                      ///< rows [hd] in the cache's type
  std::byte* entries = nullptr;     ///< [capacity/m, hd]
  std::byte* index_keys = nullptr;  ///< [capacity/m, index_hd]
  Ring tail, index_tail;            ///< rows [raw_row_floats], f32
};

/// What an op expects of its layer.
struct ExpectedLayer {
  int64_t index = 0;
  CacheLayer layer;
  int64_t window = 0;
  int64_t head_dim = 0;
  int64_t index_head_dim = 0;  ///< with overlap
};

/// ov::Exception when the header is no cache's, does not fit `expected`, or has parts outside the memory. Every pointer of the result may be used for its
/// whole section.
CacheView open_cache(std::span<std::byte> cache, const ExpectedLayer& expected);

}  // namespace dsv4::ops
