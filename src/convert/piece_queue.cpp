// The order of pieces, and the threads that work on them.
#include "convert/piece_queue.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "checkpoint/helper_threads.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr unsigned kThreadsPerCore = 2;      // while one waits for the disk, the other computes
constexpr int64_t kPieceElements = 1 << 18;  // 1 MB of float32: stays in a core's cache between decoding, quantising and packing

}  // namespace

std::optional<Piece> PieceCursor::next() {
  if (weight_ == weights_.size()) return std::nullopt;
  const PlannedWeight& weight = weights_[weight_];
  const WeightPart& part = weight.unit.parts[part_];
  const int64_t step = std::max<int64_t>(1, kPieceElements / weight.unit.columns());
  Piece piece{&weight, &part, part.row_begin + part_row_, 0, weight_row_};
  piece.row_end = std::min(part.row_end, piece.row_begin + step);
  part_row_ += piece.rows();
  weight_row_ += piece.rows();
  if (piece.row_end == part.row_end) {
    part_row_ = 0;
    if (++part_ == weight.unit.parts.size()) {
      if (weight_row_ != weight.unit.rows())
        fail("the parts of ", weight.unit.name, " have ", weight_row_, " rows; planned ", weight.unit.rows());
      part_ = 0;
      weight_row_ = 0;
      ++weight_;
    }
  }
  return piece;
}

PieceQueue::PieceQueue(std::span<const PlannedWeight> weights, uint64_t finished, uint64_t end) : cursor_(weights), end_(end) {
  while (number_ < finished) {
    const std::optional<Piece> piece = cursor_.next();
    if (!piece) fail(finished, " pieces are said to be finished, there are ", number_, "; this is a mistake in dsv4");
    skipped_bytes_ += written_bytes(*piece);
    ++number_;
  }
}

std::optional<PieceQueue::Numbered> PieceQueue::next() {
  const std::lock_guard lock(mutex_);
  const std::optional<Piece> piece = number_ < end_ ? cursor_.next() : std::nullopt;
  if (!piece) return std::nullopt;
  return Numbered{number_++, *piece};
}

void for_each_piece(PieceQueue& queue, const std::function<bool()>& stop,
                    const std::function<void(const PieceQueue::Numbered&, PieceBuffers&)>& work) {
  std::atomic<bool> failed = false;
  const auto run = [&] {
    try {
      PieceBuffers buffers;
      while (!failed && !stop()) {
        const std::optional<PieceQueue::Numbered> piece = queue.next();
        if (!piece) return;
        work(*piece, buffers);
      }
    } catch (...) {
      failed = true;
      throw;
    }
  };
  run_with_helpers(kThreadsPerCore * std::max(1u, std::thread::hardware_concurrency()) - 1, run);
}

}  // namespace dsv4
