// Filling openvino_model.bin.
#include "convert/bin_writer.h"

#include <algorithm>
#include <mutex>

#include "convert/piece_queue.h"

namespace dsv4 {

namespace {

constexpr uint64_t kAheadBytes = 8 << 20;     // of the same tensor, read while a piece is converted
constexpr uint64_t kReleaseBytes = 64 << 20;  // of source between two releases of its pages

bool passes_multiple(uint64_t before, uint64_t after, uint64_t of) { return before / of != after / of; }

/// Begins to read what comes after the piece in its tensor: threads that hop through a mapped file defeat the kernel's own read-ahead.
void read_ahead(const Checkpoint& checkpoint, const Piece& piece) {
  const TensorView& view = checkpoint.stored(piece.part->tensor);
  const uint64_t row_bytes = source_bytes(checkpoint, piece) / static_cast<uint64_t>(piece.rows());
  const uint64_t end = static_cast<uint64_t>(piece.row_end) * row_bytes;
  view.file->prefetch(view.bytes.subspan(end, std::min(kAheadBytes, view.bytes.size() - end)));
}

}  // namespace

void write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
               const std::filesystem::path& path, const BinWriterOptions& options) {
  BinFile file(path, small_offset + small_constants.size());
  file.write_at(small_offset, small_constants.data(), small_constants.size());

  PieceQueue queue(plan.weights, options.finished_pieces);
  uint64_t total = 0;
  for (const PlannedWeight& weight : plan.weights) total += weight.bytes();
  std::atomic<uint64_t> read = 0, written = queue.skipped_bytes();
  std::mutex reporting, recording;  // two, so that nobody waits for a flush but who would flush next
  const auto stopped = [&] { return options.stop && *options.stop; };
  const auto record = [&] {
    if (!options.record) return;
    const uint64_t pieces = queue.finished();
    file.sync();
    options.record(pieces);
  };
  if (options.progress) options.progress(written, total);

  try {
    for_each_piece(queue, stopped, [&](const PieceQueue::Numbered& numbered, PieceBuffers& buffers) {
      const Piece& piece = numbered.piece;
      read_ahead(checkpoint, piece);
      convert_piece(checkpoint, piece, buffers, file);
      queue.finish(numbered.number);  // before a record, so that it counts
      // All pages of the source at once, now and then: what other threads are reading is mapped again at their next touch.
      const uint64_t source = source_bytes(checkpoint, piece), read_before = read.fetch_add(source);
      if (passes_multiple(read_before, read_before + source, kReleaseBytes)) {
        for (const auto& shard : checkpoint.files()) shard->release();
      }
      const uint64_t bytes = written_bytes(piece), before = written.fetch_add(bytes);
      if (passes_multiple(before, before + bytes, options.record_bytes)) {
        const std::lock_guard lock(recording);
        record();
      }
      if (options.progress) {
        const std::lock_guard lock(reporting);
        options.progress(written, total);
      }
    });
  } catch (const WriteError&) {
    record();
    throw;
  }
  if (stopped() && queue.finished() > 0) record();
  if (stopped()) throw Interrupted("interrupted");
  file.close();
}

}  // namespace dsv4
