// How a compressor's raw rows are laid out and cut, so that one Gather assembles the rows that a block pools.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/config.h"

namespace dsv4 {

/// A raw row holds K and Z of one position: [K | Z] without overlap; [K main | Z main | K indexer | Z indexer], two halves each, with overlap. It is
/// cut into chunks of `chunk` channels, which head_dim and index_head_dim are multiples of. Without overlap a chunk is head_dim wide.
struct RawLayout {
  int64_t width = 0;              ///< channels of a raw row
  int64_t chunk = 0;              ///< channels of a chunk
  int64_t row_chunks = 0;         ///< width / chunk
  int64_t entry_chunks = 0;       ///< chunks of an entry: [main | indexer]
  std::vector<int32_t> k_chunks;  ///< offset, in chunks from the block's own row, of K: one, or [2m, entry_chunks] with overlap, where the
  std::vector<int32_t> z_chunks;  ///< first m rows are the first halves of the previous block and the others the second halves of its own
};

RawLayout raw_layout(const Config& config, const LayerConfig& layer);

/// Raw rows that are kept between calls: enough for the block under way and, with overlap, the one before.
int64_t compressor_tail_rows(const LayerConfig& layer);

/// The state of the portable program that holds the entries of the compressor of a block ("layers.3"): a list that grows by a row for every ratio positions.
std::string entry_state_name(const std::string& block);

}  // namespace dsv4
