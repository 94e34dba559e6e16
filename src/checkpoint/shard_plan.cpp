// Two layouts: one file or files of a size, and the releases'.
#include "checkpoint/shard_plan.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string_view>
#include <tuple>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

constexpr uint64_t kOneFile = 4ull << 30;  // up to this many bytes of data

std::vector<ShardPiece> pieces_of(const Config& config, const TensorSpec& spec) {
  std::vector<ShardPiece> pieces;
  for (ShardSpec& stored : shard_tensors(config, spec)) {
    const uint64_t bytes = static_cast<uint64_t>(element_count(stored.shape)) * dtype_size(stored.dtype);
    pieces.push_back({std::move(stored), &spec, bytes});
  }
  return pieces;
}

uint64_t data_bytes(const std::vector<ShardPiece>& pieces) {
  uint64_t bytes = 0;
  for (const ShardPiece& piece : pieces) bytes += piece.bytes;
  return bytes;
}

/// "layers.17", "mtp.0", "embed" or "head": what has a file of its own in the releases.
std::string_view part_of(std::string_view name) {
  for (const std::string_view numbered : {"layers.", "mtp."}) {
    if (name.starts_with(numbered)) return name.substr(0, name.find('.', numbered.size()));
  }
  return name.starts_with("embed.") ? "embed" : "head";
}

/// The order of safetensors' own list of types; its writer begins with the last.
int library_rank(DType dtype) {
  constexpr DType kOrder[] = {DType::kI8, DType::kF8E4M3, DType::kF8E8M0, DType::kF16, DType::kBF16, DType::kF32, DType::kI64};
  return static_cast<int>(std::find(std::begin(kOrder), std::end(kOrder), dtype) - std::begin(kOrder));
}

/// As text: an ordered_json of this many keys is searched from its start for each of them.
std::string header_of(const Shard& shard, std::string_view metadata) {
  std::string text = concat("{", metadata);
  uint64_t begin = 0;
  for (const ShardPiece& piece : shard.pieces) {
    text += concat(text.size() == 1 ? "\"" : ",\"", piece.stored.name, "\":{\"dtype\":\"", dtype_name(piece.stored.dtype),
                   "\",\"shape\":", shape_string(piece.stored.shape), ",\"data_offsets\":[", begin, ",", begin + piece.bytes, "]}");
    begin += piece.bytes;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string header;
  for (int i = 0; i < 8; ++i) header += static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return header + text;
}

void add(std::vector<ShardPiece> pieces, Shard& shard) {
  shard.bytes += data_bytes(pieces);
  std::move(pieces.begin(), pieces.end(), std::back_inserter(shard.pieces));
}

std::vector<Shard> release_shards(const Config& config, const std::vector<TensorSpec>& table) {
  std::vector<Shard> shards;
  std::string_view part;
  for (const TensorSpec& spec : table) {
    if (const std::string_view here = part_of(spec.name); shards.empty() || here != part) {
      shards.emplace_back();
      part = here;
    }
    add(pieces_of(config, spec), shards.back());
  }
  for (Shard& shard : shards) {
    std::sort(shard.pieces.begin(), shard.pieces.end(), [](const ShardPiece& a, const ShardPiece& b) {
      const int first = library_rank(a.stored.dtype), second = library_rank(b.stored.dtype);
      return std::tie(second, a.stored.name) < std::tie(first, b.stored.name);
    });
    shard.header = header_of(shard, "");
  }
  return shards;
}

/// Within a shard wide elements first, so that every tensor is aligned.
std::vector<Shard> shards_of_size(const Config& config, const std::vector<TensorSpec>& table, uint64_t shard_bytes) {
  std::vector<Shard> shards(1);
  for (const TensorSpec& spec : table) {
    std::vector<ShardPiece> pieces = pieces_of(config, spec);
    if (!shards.back().pieces.empty() && shards.back().bytes + data_bytes(pieces) > shard_bytes) shards.emplace_back();
    add(std::move(pieces), shards.back());
  }
  for (Shard& shard : shards) {
    std::stable_sort(shard.pieces.begin(), shard.pieces.end(),
                     [](const ShardPiece& a, const ShardPiece& b) { return dtype_size(a.stored.dtype) > dtype_size(b.stored.dtype); });
    shard.header = header_of(shard, R"("__metadata__":{"format":"pt"})");
  }
  return shards;
}

}  // namespace

std::vector<Shard> plan_shards(const Config& config, const std::vector<TensorSpec>& table, uint64_t shard_bytes) {
  if (shard_bytes > 0) return shards_of_size(config, table, shard_bytes);
  uint64_t bytes = 0;
  for (const TensorSpec& spec : table) bytes += data_bytes(pieces_of(config, spec));
  return bytes <= kOneFile ? shards_of_size(config, table, kOneFile) : release_shards(config, table);
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

std::string index_json(const std::vector<Shard>& shards) {
  std::string map;
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    total += shards[i].bytes;
    for (const ShardPiece& piece : shards[i].pieces) {
      map += concat(map.empty() ? "" : ",\n", "    \"", piece.stored.name, "\": \"", shard_name(i, shards.size()), "\"");
    }
  }
  return concat("{\n  \"metadata\": {\n    \"total_size\": ", total, "\n  },\n  \"weight_map\": {\n", map, "\n  }\n}\n");
}

}  // namespace dsv4
