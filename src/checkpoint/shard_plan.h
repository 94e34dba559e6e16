// The shards of a synthetic checkpoint: which tensor lies where, and the headers and the index that say so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/tensor_table.h"

namespace dsv4 {

/// One stored tensor in its shard; both tensors of a quantised weight point at the same spec.
struct ShardPiece {
  ShardSpec stored;
  const TensorSpec* spec;
  uint64_t bytes;

  bool is_scale() const { return stored.name != spec->name; }
};

struct Shard {
  std::vector<ShardPiece> pieces;  ///< in the order of the file
  uint64_t bytes = 0;              ///< of data
  std::string header;              ///< length, JSON, padding to a multiple of 8
};

/// Shards for `table`, which must outlive them. shard_bytes = 0: one shard of up to 4 GiB, else those of the releases, to the byte: the embedding, every layer, the head
/// and every block of the draft in a file of its own, written as the safetensors library writes. Otherwise tensors in model order, a weight and its scale in one
/// shard, and a new shard when the current one would grow past shard_bytes.
std::vector<Shard> plan_shards(const Config& config, const std::vector<TensorSpec>& table, uint64_t shard_bytes);

/// "model.safetensors", or "model-00001-of-00046.safetensors".
std::string shard_name(size_t index, size_t count);

/// model.safetensors.index.json.
std::string index_json(const std::vector<Shard>& shards);

}  // namespace dsv4
