// Checks of a cache's header.
#include "ops/attention/cache_view.h"

#include <cstring>

#include "openvino/core/except.hpp"

namespace dsv4::ops {

Ring window_ring(int64_t window, int64_t head_dim, CachePrecision type) {
  return {nullptr, window + kSlackRows, head_dim * value_bytes(type)};
}

Ring tail_ring(const CacheLayer& layer, int64_t dims) {
  return {nullptr, raw_rows(layer) + kSlackRows, raw_row_floats(layer, dims) * static_cast<int64_t>(sizeof(float))};
}

SectionBytes section_bytes(const CacheLayer& layer, int64_t window, int64_t head_dim, int64_t index_head_dim, int64_t capacity,
                           CachePrecision type) {
  SectionBytes size;
  const int64_t value = value_bytes(type);
  const auto bytes_of = [](const Ring& ring) { return ring.rows * ring.row_bytes; };
  size.window = bytes_of(window_ring(window, head_dim, type));
  if (layer.ratio == 0) return size;
  const int64_t entries = capacity / layer.ratio;
  size.entries = entries * head_dim * value;
  size.tail = bytes_of(tail_ring(layer, head_dim));
  if (layer.overlap) {
    size.index_keys = entries * index_head_dim * value;
    size.index_tail = bytes_of(tail_ring(layer, index_head_dim));
  }
  return size;
}

CacheView open_cache(std::span<std::byte> cache, const ExpectedLayer& expected) {
  const auto bytes = static_cast<int64_t>(cache.size());
  CacheHeader header;
  OPENVINO_ASSERT(cache.size() >= sizeof header, "cache: ", bytes, " bytes hold no header");
  OPENVINO_ASSERT(reinterpret_cast<uintptr_t>(cache.data()) % alignof(float) == 0, "cache: memory is not aligned to ", alignof(float),
                  " bytes");
  std::memcpy(&header, cache.data(), sizeof header);
  const CacheHeader genuine;
  OPENVINO_ASSERT(header.magic == genuine.magic && header.version == genuine.version, "cache: no header of version ", genuine.version,
                  "; CacheLayout::write_header makes it");
  OPENVINO_ASSERT(header.bytes <= bytes, "cache: made for ", header.bytes, " bytes, the tensor has ", bytes);
  OPENVINO_ASSERT(header.type == static_cast<int64_t>(CachePrecision::kF32) || header.type == static_cast<int64_t>(CachePrecision::kBF16),
                  "cache: unknown type ", header.type);
  OPENVINO_ASSERT(header.capacity >= 1 && header.capacity <= kMostPositions, "cache: a capacity of ", header.capacity, " positions");
  OPENVINO_ASSERT(header.window == expected.window && header.head_dim == expected.head_dim &&
                      (!expected.layer.overlap || header.index_head_dim == expected.index_head_dim),
                  "cache: made for window ", header.window, ", head_dim ", header.head_dim, ", index_head_dim ", header.index_head_dim,
                  "; the model has ", expected.window, ", ", expected.head_dim, ", ", expected.index_head_dim);
  OPENVINO_ASSERT(header.layers >= 1 && header.layers <= kMostLayers && expected.index >= 0 && expected.index < header.layers,
                  "cache: made for ", header.layers, " layers, this is layer ", expected.index);
  const int64_t records_end = static_cast<int64_t>(sizeof header) + header.layers * static_cast<int64_t>(sizeof(CacheLayerRecord));
  OPENVINO_ASSERT(records_end <= bytes, "cache: ", bytes, " bytes hold no header of ", header.layers, " layers");
  CacheLayerRecord record;
  std::memcpy(&record, cache.data() + sizeof header + static_cast<size_t>(expected.index) * sizeof record, sizeof record);
  OPENVINO_ASSERT(record.ratio == expected.layer.ratio && record.overlap == (expected.layer.overlap ? 1 : 0), "cache: layer ",
                  expected.index, " was made with ratio ", record.ratio, (record.overlap != 0 ? " and an indexer" : ""),
                  "; the model has ratio ", expected.layer.ratio, (expected.layer.overlap ? " and an indexer" : ""));

  CacheView view;
  view.type = static_cast<CachePrecision>(header.type);
  view.capacity = header.capacity;
  const auto section = [&](int64_t offset, int64_t size) {
    OPENVINO_ASSERT(offset >= records_end && offset % kCacheAlignment == 0 && offset <= bytes && size <= bytes - offset, "cache: layer ",
                    expected.index, " has a part of ", size, " bytes at ", offset, " of ", bytes);
    return cache.data() + offset;
  };
  const auto ring = [&](Ring shape, int64_t offset, int64_t size) {
    shape.memory = section(offset, size);
    return shape;
  };
  const SectionBytes size =
      section_bytes(expected.layer, expected.window, expected.head_dim, expected.index_head_dim, header.capacity, view.type);
  view.window = ring(window_ring(expected.window, expected.head_dim, view.type), record.place.window, size.window);
  if (expected.layer.ratio == 0) return view;
  view.entries = section(record.place.entries, size.entries);
  view.tail = ring(tail_ring(expected.layer, expected.head_dim), record.place.tail, size.tail);
  if (!expected.layer.overlap) return view;
  view.index_keys = section(record.place.index_keys, size.index_keys);
  view.index_tail = ring(tail_ring(expected.layer, expected.index_head_dim), record.place.index_tail, size.index_tail);
  return view;
}

}  // namespace dsv4::ops
