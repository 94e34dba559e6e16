// Hands out the pieces of weights to threads, in file order. What is finished is kept by FinishedPieces (convert/finished_work.h).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <span>

#include "convert/piece.h"

namespace dsv4 {

/// The pieces of weights in the order of the file, one after another.
class PieceCursor {
 public:
  /// `weights` outlive the cursor.
  explicit PieceCursor(std::span<const PlannedWeight> weights) : weights_(weights) {}

  /// Nothing behind the last one.
  std::optional<Piece> next();

 private:
  std::span<const PlannedWeight> weights_;
  size_t weight_ = 0, part_ = 0;
  int64_t part_row_ = 0;    // rows of the part handed out
  int64_t weight_row_ = 0;  // rows of the weight handed out
};

class PieceQueue {
 public:
  /// `weights` outlive the queue. Handed out are the pieces from `finished` to before `end`.
  explicit PieceQueue(std::span<const PlannedWeight> weights, uint64_t finished = 0, uint64_t end = std::numeric_limits<uint64_t>::max());

  struct Numbered {
    uint64_t number = 0;
    Piece piece;
  };
  /// The next piece, or nothing when all were handed out.
  std::optional<Numbered> next();
  /// Written bytes of the pieces that were skipped at the start.
  uint64_t skipped_bytes() const { return skipped_bytes_; }

 private:
  PieceCursor cursor_;
  std::mutex mutex_;
  uint64_t number_ = 0;  // of the next piece
  uint64_t end_;
  uint64_t skipped_bytes_ = 0;
};

/// Runs work(piece, buffers) for every piece on all cores; the first exception is thrown here, after all threads have stopped. A thread begins no piece
/// once stop() is true.
void for_each_piece(PieceQueue& queue, const std::function<bool()>& stop,
                    const std::function<void(const PieceQueue::Numbered&, PieceBuffers&)>& work);

}  // namespace dsv4
