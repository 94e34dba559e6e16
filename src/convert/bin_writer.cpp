// Filling openvino_model.bin.
#include "convert/bin_writer.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include "convert/bin_file.h"
#include "convert/following_hash.h"
#include "convert/piece_queue.h"
#include "convert/source_errors.h"
#include "convert/source_windows.h"

namespace dsv4 {

namespace {

constexpr uint64_t kReleaseBytes = 64 << 20;  // of source between two releases of its pages

bool passes_multiple(uint64_t before, uint64_t after, uint64_t of) { return before / of != after / of; }

uint64_t size_of(const Checkpoint& checkpoint) {
  uint64_t bytes = 0;
  for (const auto& shard : checkpoint.files()) bytes += shard->size();
  return bytes;
}

void check_unchanged(const Checkpoint& checkpoint) {
  try {
    for (const auto& file : checkpoint.files()) file->check_unchanged();
  } catch (const Error& error) {
    throw BadInput(error.what());
  }
}

}  // namespace

FinishedWork write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
                       const std::filesystem::path& path, const BinWriterOptions& options) {
  const uint64_t bin_bytes = small_offset + small_constants.size();
  BinFile file(path, bin_bytes, bin_bytes >= options.direct_bytes);
  file.write_at(small_offset, small_constants.data(), small_constants.size());

  PieceQueue queue(plan.weights, options.earlier.pieces);
  FinishedPieces finished(checkpoint, plan.weights, options.earlier);
  FollowingHash hash(file, options.earlier_bin ? options.earlier_bin : std::make_shared<ContentHasher>(), options.earlier.bin_bytes);
  uint64_t total = 0;
  for (const PlannedWeight& weight : plan.weights) total += weight.bytes();
  std::atomic<uint64_t> read = 0, written = queue.skipped_bytes();
  std::mutex reporting, recording;  // two, so that nobody waits for a flush but who would flush next
  const auto stopped = [&] { return options.stop && *options.stop; };
  const auto record = [&] {
    if (!options.record) return;
    FinishedWork now = finished.work();
    hash.catch_up(finished.final_bytes(), [](uint64_t) {});  // little: it follows closely
    std::tie(now.bin_bytes, now.bin_hash) = hash.so_far();
    file.sync();
    check_unchanged(checkpoint);  // else the hashes could be of other bytes than were converted
    options.record(now);
  };
  if (options.progress) options.progress(written, total);
  std::optional<SourceWindows> windows;
  if (size_of(checkpoint) >= options.direct_bytes) windows.emplace(checkpoint, plan.weights, options.earlier.pieces);

  try {
    for_each_piece(queue, stopped, [&](const PieceQueue::Numbered& numbered, PieceBuffers& buffers) {
      const Piece& piece = numbered.piece;
      {
        std::optional<SourceWindows::Use> use;
        if (windows) use.emplace(*windows, numbered.number);
        if (!use || use->left_to_the_map()) read_ahead(checkpoint, piece);
        of_source(checkpoint, piece, [&] { convert_piece(checkpoint, piece, buffers, file); });
        finished.finish(numbered.number, finished.hash_sources(piece));  // before a record, so that it counts
      }
      hash.follow(finished.final_bytes());
      file.finished_before(hash.hashed());
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
    if (!stopped()) {
      hash.catch_up(bin_bytes, [&](uint64_t) {
        if (stopped()) throw Interrupted("interrupted");
      });
      file.close();
      check_unchanged(checkpoint);
      FinishedWork all = finished.work();
      std::tie(all.bin_bytes, all.bin_hash) = hash.so_far();
      return all;
    }
  } catch (const BadInput&) {
    throw;
  } catch (const std::exception&) {  // the disk, memory, threads, a signal: what is finished is good
    try {
      record();
    } catch (const WriteError&) {  // the record before this one holds
    }
    throw;
  }
  record();
  throw Interrupted("interrupted");
}

}  // namespace dsv4
