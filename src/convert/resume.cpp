// Reading again what an earlier run read and wrote.
#include "convert/resume.h"

#include <fcntl.h>

#include <atomic>
#include <mutex>
#include <set>
#include <utility>

#include "checkpoint/quote.h"
#include "convert/errors.h"
#include "files/descriptor.h"

namespace dsv4 {

namespace {

constexpr uint64_t kReleaseBytes = 64 << 20;  // read between two releases of the shards' pages

/// Bytes read again, of all that are to be.
class Reading {
 public:
  Reading(uint64_t total, const ResumeOptions& options) : total_(total), options_(options) {}

  void add(uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (options_.progress) options_.progress(std::min(done_, total_), total_);
  }

 private:
  std::mutex mutex_;
  uint64_t done_ = 0, total_;
  const ResumeOptions& options_;
};

void check_stop(const ResumeOptions& options) {
  if (options.stopped && options.stopped()) throw Interrupted("interrupted");
}

std::string name_of(const SafetensorsFile& file) { return path_text(file.path().filename()); }

}  // namespace

std::optional<std::string> changed_shard(const Checkpoint& checkpoint, const StoragePlan& plan, const FinishedWork& work,
                                         const std::function<bool(const SafetensorsFile&)>& doubtful, const ResumeOptions& options) {
  std::set<const SafetensorsFile*> read;
  uint64_t total = 0;
  for (const auto& file : checkpoint.files()) {
    if (!doubtful(*file)) continue;
    read.insert(file.get());
    total += file->size();
  }
  if (read.empty() || work.pieces == 0) return std::nullopt;

  Reading reading(total, options);
  FinishedPieces again(checkpoint, plan.weights, {});
  PieceQueue queue(plan.weights, 0, work.pieces);
  std::atomic<uint64_t> unreleased = 0;
  for_each_piece(
      queue, [&] { return options.stopped && options.stopped(); },
      [&](const PieceQueue::Numbered& numbered, PieceBuffers&) {
        std::vector<SourceHash> hashes;
        uint64_t bytes = 0;
        for (const PieceSource& source : piece_sources(checkpoint, numbered.piece)) {
          if (!read.contains(source.file)) continue;
          if (bytes == 0) read_ahead(checkpoint, numbered.piece);
          hashes.push_back(again.hash_source(source));
          bytes += source.bytes.size();
        }
        again.finish(numbered.number, std::move(hashes));
        if (bytes == 0) return;
        reading.add(bytes);
        if (unreleased.fetch_add(bytes) + bytes < kReleaseBytes) return;
        unreleased = 0;
        for (const SafetensorsFile* file : read) file->release();
      });
  check_stop(options);
  for (const SafetensorsFile* file : read) file->release();

  const FinishedWork now = again.work();
  for (const auto& file : checkpoint.files()) {
    if (!read.contains(file.get())) continue;
    const auto before = work.shards.find(name_of(*file));
    const ContentHash was = before == work.shards.end() ? ContentHash{} : before->second.read;
    if (now.shards.at(name_of(*file)).read != was) return name_of(*file);
  }
  return std::nullopt;
}

EarlierWork check_finished(const Checkpoint& checkpoint, const StoragePlan& plan, const FinishedWork& work,
                           const std::filesystem::path& bin, const ResumeOptions& options) {
  EarlierWork earlier;
  earlier.bin = std::make_shared<ContentHasher>();
  uint64_t pieces = 0;
  for (PieceCursor cursor(plan.weights); pieces <= work.pieces && cursor.next();) ++pieces;
  if (work.pieces > pieces) {
    earlier.refusal = "its record names more pieces than there are";
    return earlier;
  }
  const auto doubtful = [&](const SafetensorsFile& file) {
    const auto before = work.shards.find(name_of(file));
    return before == work.shards.end() || before->second.identity != file.identity();
  };
  // One progress over both: shards, of which the bytes of unfinished pieces are left out, and the .bin.
  uint64_t shard_bytes = 0;
  for (const auto& file : checkpoint.files()) shard_bytes += doubtful(*file) ? file->size() : 0;
  const auto part = [&](uint64_t before) {
    return ResumeOptions{[&options, before, all = shard_bytes + work.bin_bytes](uint64_t done, uint64_t) {
                           if (options.progress) options.progress(before + done, all);
                         },
                         options.stopped};
  };
  const ResumeOptions shard_options = part(0), bin_options = part(shard_bytes);
  if (const auto changed = changed_shard(checkpoint, plan, work, doubtful, shard_options)) {
    earlier.refusal = concat("it was made with another checkpoint file ", *changed);
    return earlier;
  }

  const Descriptor file(::open(bin.c_str(), O_RDONLY | O_CLOEXEC));
  Reading reading(work.bin_bytes, bin_options);
  const bool whole = file.fd >= 0 && hash_file_range(file.fd, bin, 0, work.bin_bytes, *earlier.bin, [&](uint64_t bytes) {
                       check_stop(options);
                       reading.add(bytes);
                     });
  if ((!whole && work.pieces > 0) || (whole && work.bin_bytes > 0 && earlier.bin->hash() != work.bin_hash)) {
    earlier.refusal = concat(path_text(bin.filename()), " is not as it was left");
  }
  return earlier;
}

}  // namespace dsv4
