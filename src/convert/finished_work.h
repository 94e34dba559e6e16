// What of a conversion is finished, and from which bytes: kept in the record of OUT.partial, so that the next run mixes nothing into it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/content_hash.h"
#include "convert/piece_queue.h"

namespace dsv4 {

/// A shard as far as the finished pieces were made from it.
struct FinishedShard {
  FileIdentity identity;  ///< when the run that recorded it opened it
  ContentHash read;       ///< chained hashes of the bytes of the finished pieces, in their order
};

struct FinishedWork {
  uint64_t pieces = 0;                          ///< the first of all, in file order
  std::map<std::string, FinishedShard> shards;  ///< by file name
  uint64_t bin_bytes = 0;                       ///< from the start of the .bin, final, whose hash is
  ContentHash bin_hash;
};

nlohmann::ordered_json to_json(const FinishedWork& work);
/// Nothing when it is not such JSON.
std::optional<FinishedWork> finished_work(const nlohmann::ordered_json& json);

/// Hashes of a piece's sources; `shard` counts the checkpoint's files.
struct SourceHash {
  size_t shard = 0;
  ContentHash hash;
};

/// Keeps FinishedWork while threads finish pieces in any order.
class FinishedPieces {
 public:
  /// Goes on from what an earlier run finished, which has been checked (convert/resume.h). Both references outlive this.
  FinishedPieces(const Checkpoint& checkpoint, std::span<const PlannedWeight> weights, const FinishedWork& earlier);

  SourceHash hash_source(const PieceSource& source) const;
  /// The hashes that finish() takes: of the piece's rows of the tensor and, where it has one, of its scale's.
  std::vector<SourceHash> hash_sources(const Piece& piece) const;
  /// The piece is written. Any thread.
  void finish(uint64_t number, std::vector<SourceHash> sources);

  /// All but the two fields of the .bin.
  FinishedWork work() const;
  /// Bytes from the start of the .bin that no unfinished piece writes to.
  uint64_t final_bytes() const;

 private:
  const Checkpoint& checkpoint_;
  std::map<const SafetensorsFile*, size_t> shards_;
  mutable std::mutex mutex_;
  PieceCursor cursor_;
  uint64_t pieces_ = 0, final_bytes_ = 0;
  std::vector<ContentHash> read_;                             // by shard
  std::map<uint64_t, std::vector<SourceHash>> out_of_order_;  // finished before a piece in front of them
};

}  // namespace dsv4
