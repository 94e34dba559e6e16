// Where the parts of a cache lie, and its header.
#include "ops/attention/cache.h"

#include <algorithm>
#include <cstring>

#include "dsv4/error.h"
#include "ops/attention/cache_view.h"

namespace dsv4::ops {

CacheLayout::CacheLayout(const CacheShape& shape) : shape_(shape) {
  const auto within = [](int64_t value, int64_t least, int64_t most, const char* what) {
    if (value < least || value > most) fail("cache: ", what, " is ", value, "; expected ", least, " to ", most);
  };
  within(static_cast<int64_t>(shape.layers.size()), 1, kMostLayers, "the number of layers");
  within(shape.window, 1, kMostDims, "window");
  within(shape.head_dim, 1, kMostDims, "head_dim");
  within(shape.capacity, 1, kMostPositions, "capacity");
  if (shape.type != CachePrecision::kF32 && shape.type != CachePrecision::kBF16)
    fail("cache: unknown type ", static_cast<int64_t>(shape.type));

  const auto take = [this](int64_t bytes, int64_t alignment = kCacheAlignment) {
    const int64_t offset = bytes_;
    if (bytes > kMostBytes - bytes_)
      fail("cache: ", shape_.layers.size(), " layers for ", shape_.capacity, " positions do not fit into memory");
    bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return offset;
  };
  take(static_cast<int64_t>(sizeof(CacheHeader)) + static_cast<int64_t>(shape.layers.size() * sizeof(CacheLayerRecord)));
  for (const CacheLayer& layer : shape.layers) {
    within(layer.ratio, layer.overlap ? 1 : 0, kMostDims, "a compression ratio");
    if (layer.overlap) within(shape.index_head_dim, 1, kMostDims, "index_head_dim");
    const SectionBytes size = section_bytes(layer, shape.window, shape.head_dim, shape.index_head_dim, shape.capacity, shape.type);
    Layer& place = layers_.emplace_back();
    place.window = take(size.window);
    place.tail = take(size.tail);
    place.index_tail = take(size.index_tail);
  }
  bytes_ = lists_begin_ = (bytes_ + kListAlignment - 1) / kListAlignment * kListAlignment;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const CacheLayer& layer = shape.layers[i];
    if (layer.ratio == 0) continue;
    const SectionBytes size = section_bytes(layer, shape.window, shape.head_dim, shape.index_head_dim, shape.capacity, shape.type);
    const auto take_list = [&](int64_t bytes, int64_t dims) {
      return lists_.emplace_back(List{take(bytes, kListAlignment), dims * value_bytes(shape.type), layer.ratio}).begin;
    };
    layers_[i].entries = take_list(size.entries, shape.head_dim);
    if (layer.overlap) layers_[i].index_keys = take_list(size.index_keys, shape.index_head_dim);
  }
}

void CacheLayout::write_header(std::byte* cache) const {
  CacheHeader header;
  header.bytes = bytes_;
  header.type = static_cast<int64_t>(shape_.type);
  header.window = shape_.window;
  header.head_dim = shape_.head_dim;
  header.index_head_dim = shape_.index_head_dim;
  header.capacity = shape_.capacity;
  header.layers = static_cast<int64_t>(layers_.size());
  std::memcpy(cache, &header, sizeof header);
  cache += sizeof header;
  for (size_t i = 0; i < layers_.size(); ++i, cache += sizeof(CacheLayerRecord)) {
    const CacheLayerRecord record{shape_.layers[i].ratio, shape_.layers[i].overlap ? 1 : 0, layers_[i]};
    std::memcpy(cache, &record, sizeof record);
  }
}

std::vector<CacheLayout::Range> CacheLayout::used(int64_t tokens, int64_t back) const {
  std::vector<Range> ranges;
  tokens = std::clamp<int64_t>(tokens, 0, shape_.capacity);
  const int64_t first = std::max<int64_t>(0, tokens - back);  // the fewest tokens that the sequence may be taken back to
  const auto add = [&](int64_t begin, int64_t bytes) {
    if (bytes > 0) ranges.push_back({begin, begin + bytes});
  };
  /// Rows of positions [begin, tokens), which are in at most two pieces of the ring.
  const auto add_rows = [&](const Ring& ring, int64_t offset, int64_t begin) {
    const int64_t rows = tokens - begin, place = ring.place(begin), straight = std::min(rows, ring.rows - place);
    add(offset, (rows - straight) * ring.row_bytes);
    add(offset + place * ring.row_bytes, straight * ring.row_bytes);
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const CacheLayer& layer = shape_.layers[i];
    add_rows(window_ring(shape_.window, shape_.head_dim, shape_.type), layers_[i].window,
             std::max<int64_t>(0, first - (shape_.window - 1)));
    if (layer.ratio == 0) continue;
    // Those of the incomplete block, with overlap those of the block before it too.
    const int64_t begin = std::max<int64_t>(0, first / layer.ratio - (layer.overlap ? 1 : 0)) * layer.ratio;
    add_rows(tail_ring(layer, shape_.head_dim), layers_[i].tail, begin);
    if (layer.overlap) add_rows(tail_ring(layer, shape_.index_head_dim), layers_[i].index_tail, begin);
  }
  for (const List& list : lists_) add(list.begin, list.end(tokens) - list.begin);
  return ranges;
}

int64_t CacheLayout::read_bytes(int64_t position, int64_t index_topk) const {
  int64_t values = 0;
  for (const CacheLayer& layer : shape_.layers) {
    values += std::min(position, shape_.window - 1) * shape_.head_dim;
    if (layer.ratio == 0) continue;
    const int64_t visible = (position + 1) / layer.ratio;
    values += (layer.overlap ? std::min(visible, index_topk) : visible) * shape_.head_dim;
    if (layer.overlap && visible > index_topk) values += visible * shape_.index_head_dim;
  }
  return values * value_bytes(shape_.type);
}

}  // namespace dsv4::ops
