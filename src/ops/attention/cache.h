// The state of one sequence: one block of memory for all layers, written in place by the Attention ops (spec 3.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dsv4/precision.h"
#include "ops/attention/ring.h"

namespace dsv4::ops {

/// Of lists: whole pages of the kernel's, whose sizes are 4 to 64 KiB, so that sequences can share them.
constexpr int64_t kListAlignment = 65536;

struct CacheLayer {
  int64_t ratio = 0;     ///< m; 0: window only
  bool overlap = false;  ///< with an indexer
};

struct CacheShape {
  std::vector<CacheLayer> layers;
  int64_t window = 0;          ///< W
  int64_t head_dim = 0;        ///< hd
  int64_t index_head_dim = 0;  ///< of layers with overlap
  int64_t capacity = 0;        ///< positions that the lists have room for
  CachePrecision type = CachePrecision::kBF16;
};

/// Where everything lies: the header, the rings of all layers, then the lists of all layers. Memory that is never touched costs nothing when it comes from the
/// kernel as zero pages: lists are written from their beginning.
class CacheLayout {
 public:
  explicit CacheLayout(const CacheShape& shape);

  int64_t bytes() const { return bytes_; }
  /// Writes the header (shape and offsets), which the ops find their layer by. Nothing else need be set: an op at position 0 reads no row.
  void write_header(std::byte* cache) const;
  /// Byte ranges [begin, end) that hold the state after `tokens` tokens and after up to `back` tokens fewer, header excluded; what a snapshot copies.
  struct Range {
    int64_t begin = 0, end = 0;
  };
  std::vector<Range> used(int64_t tokens, int64_t back = kSlackRows) const;
  /// Bytes that one more token reads at this position, all layers: window, entries or top-k, index keys. For `bench`.
  int64_t read_bytes(int64_t position, int64_t index_topk) const;

  struct Layer {
    int64_t window = 0;      ///< offset of the ring of window rows, hd wide
    int64_t entries = 0;     ///< offset of [capacity/m, hd]
    int64_t index_keys = 0;  ///< offset of [capacity/m, index_hd]
    int64_t tail = 0;        ///< offset of the ring of the main compressor's raw rows, f32
    int64_t index_tail = 0;  ///< offset of the ring of the indexer compressor's raw rows, f32
  };
  const Layer& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }
  const CacheShape& shape() const { return shape_; }

  /// Entries or index keys of a layer: rows that are appended and, as long as the sequence does not go back, never written again.
  struct List {
    int64_t begin = 0;  ///< a multiple of kListAlignment
    int64_t row_bytes = 0;
    int64_t ratio = 0;  ///< positions a row
    int64_t end(int64_t tokens) const { return begin + tokens / ratio * row_bytes; }
  };
  /// In the order of their places, which lie behind header and rings.
  const std::vector<List>& lists() const { return lists_; }
  int64_t lists_begin() const { return lists_begin_; }  ///< a multiple of kListAlignment

 private:
  CacheShape shape_;
  std::vector<Layer> layers_;
  std::vector<List> lists_;
  int64_t lists_begin_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace dsv4::ops
