// Pieces in order, and the record's JSON.
#include "convert/finished_work.h"

#include <algorithm>
#include <utility>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

using Json = nlohmann::ordered_json;

/// Bytes of the .bin in front of which all pieces up to this one write.
uint64_t end_of(const Piece& piece) {
  const PlannedWeight& w = *piece.weight;
  const int64_t row = piece.weight_row + piece.rows();
  if (row == w.unit.rows()) {
    uint64_t end = 0;
    for (const PlannedConstant* constant : {&w.values, &w.scales, &w.zero_points}) end = std::max(end, constant->offset + constant->bytes);
    return end;
  }
  // Scales lie behind the values; rows of 4-bit codes may share a byte with the next.
  return w.values.offset + static_cast<uint64_t>(row * w.unit.columns()) * w.values.type.bitwidth() / 8;
}

std::optional<ContentHash> parsed_hash(const Json& json) {
  return json.is_string() ? ContentHash::parse(json.get_ref<const std::string&>()) : std::nullopt;
}

bool has_numbers(const Json& json, std::initializer_list<const char*> keys) {
  return json.is_object() &&
         std::all_of(keys.begin(), keys.end(), [&](const char* key) { return json.contains(key) && json[key].is_number_integer(); });
}

}  // namespace

Json to_json(const FinishedWork& work) {
  Json shards = Json::object();
  for (const auto& [name, shard] : work.shards) {
    const FileIdentity& i = shard.identity;
    shards[name] = {{"device", i.device},     {"inode", i.inode},     {"bytes", i.bytes},
                    {"modified", i.modified}, {"changed", i.changed}, {"xxh3_128 of what was read", shard.read.hex()}};
  }
  return {
      {"pieces", work.pieces}, {"bin bytes", work.bin_bytes}, {"xxh3_128 of these", work.bin_hash.hex()}, {"shards", std::move(shards)}};
}

std::optional<FinishedWork> finished_work(const Json& json) {
  if (!has_numbers(json, {"pieces", "bin bytes"}) || !json.contains("xxh3_128 of these") || !json.contains("shards") ||
      !json["shards"].is_object()) {
    return std::nullopt;
  }
  const std::optional<ContentHash> bin_hash = parsed_hash(json["xxh3_128 of these"]);
  if (!bin_hash || !json["pieces"].is_number_unsigned() || !json["bin bytes"].is_number_unsigned()) return std::nullopt;
  FinishedWork work;
  work.pieces = json["pieces"].get<uint64_t>();
  work.bin_bytes = json["bin bytes"].get<uint64_t>();
  work.bin_hash = *bin_hash;
  for (const auto& [name, entry] : json["shards"].items()) {
    if (!has_numbers(entry, {"device", "inode", "bytes", "modified", "changed"}) || !entry.contains("xxh3_128 of what was read")) {
      return std::nullopt;
    }
    const std::optional<ContentHash> read = parsed_hash(entry["xxh3_128 of what was read"]);
    if (!read) return std::nullopt;
    work.shards[name] = {{.device = entry["device"].get<uint64_t>(),
                          .inode = entry["inode"].get<uint64_t>(),
                          .bytes = entry["bytes"].get<uint64_t>(),
                          .modified = entry["modified"].get<int64_t>(),
                          .changed = entry["changed"].get<int64_t>()},
                         *read};
  }
  return work;
}

FinishedPieces::FinishedPieces(const Checkpoint& checkpoint, std::span<const PlannedWeight> weights, const FinishedWork& earlier)
    : checkpoint_(checkpoint), cursor_(weights), read_(checkpoint.files().size()) {
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    const SafetensorsFile& file = *checkpoint.files()[i];
    shards_[&file] = i;
    const auto found = earlier.shards.find(path_text(file.path().filename()));
    if (found != earlier.shards.end()) read_[i] = found->second.read;
  }
  for (; pieces_ < earlier.pieces; ++pieces_) {
    const std::optional<Piece> piece = cursor_.next();
    if (!piece) break;
    final_bytes_ = end_of(*piece);
  }
}

SourceHash FinishedPieces::hash_source(const PieceSource& source) const { return {shards_.at(source.file), content_hash(source.bytes)}; }

std::vector<SourceHash> FinishedPieces::hash_sources(const Piece& piece) const {
  std::vector<SourceHash> hashes;
  for (const PieceSource& source : piece_sources(checkpoint_, piece)) {
    if (source.file) hashes.push_back(hash_source(source));
  }
  return hashes;
}

void FinishedPieces::finish(uint64_t number, std::vector<SourceHash> sources) {
  const std::lock_guard lock(mutex_);
  out_of_order_.emplace(number, std::move(sources));
  while (!out_of_order_.empty() && out_of_order_.begin()->first == pieces_) {
    for (const SourceHash& source : out_of_order_.begin()->second) read_[source.shard] = chained(read_[source.shard], source.hash);
    out_of_order_.erase(out_of_order_.begin());
    final_bytes_ = end_of(cursor_.next().value());
    ++pieces_;
  }
}

FinishedWork FinishedPieces::work() const {
  const std::lock_guard lock(mutex_);
  FinishedWork work;
  work.pieces = pieces_;
  for (const auto& [file, i] : shards_) work.shards[path_text(file->path().filename())] = {file->identity(), read_[i]};
  return work;
}

uint64_t FinishedPieces::final_bytes() const {
  const std::lock_guard lock(mutex_);
  return final_bytes_;
}

}  // namespace dsv4
