// What a conversion is about to read of a cold checkpoint: brought by direct reads ahead of the threads that convert, and shown in the maps of the shards.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/piece_queue.h"
#include "files/direct_file.h"
#include "files/shared_memory.h"

namespace dsv4 {

/// A page of the page cache costs a processor ten times what a direct read of it does. So the sources of some pieces at a time are read into memory that is used
/// again and again, and while the pieces are converted that memory takes the place of the mapped file's pages; their addresses stay. What is in the page cache
/// already, and what cannot be read directly, is left to the map.
class SourceWindows {
 public:
  static constexpr uint64_t kSlotBytes = (4 << 20) + (1 << 19);  ///< an expert's matrix of V4-Flash in FP4 and its scales

  /// The pieces of `weights` from number `first` on, which are asked for about in this order. Both references outlive this. Fewer threads and less memory than
  /// wanted, down to none, are no error. `slot_bytes`, whole pages: most that is read at a time.
  SourceWindows(const Checkpoint& checkpoint, std::span<const PlannedWeight> weights, uint64_t first, uint64_t slot_bytes = kSlotBytes);
  ~SourceWindows();
  SourceWindows(const SourceWindows&) = delete;
  SourceWindows& operator=(const SourceWindows&) = delete;

  /// While it lives, a piece's sources are in memory, unless they are left to the map.
  class Use {
   public:
    Use(SourceWindows& windows, uint64_t piece);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    /// Whether the kernel has to read what it needs, and what comes after it.
    bool left_to_the_map() const { return left_to_the_map_; }

   private:
    SourceWindows& windows_;
    uint64_t piece_;
    bool left_to_the_map_ = false;
  };

 private:
  /// Whole pages of a shard, [begin, end) of the file, and where in the shared memory they are.
  struct Window {
    const SafetensorsFile* file = nullptr;
    uint64_t begin = 0, end = 0;
    uint64_t memory = 0;
  };
  /// The windows of some pieces that follow each other.
  struct Batch {
    uint64_t first = 0, pieces = 0;
    std::vector<Window> windows;
    int slot = -1;  // of the memory; -1: left to the map
    bool ready = false;
    uint64_t unfinished = 0;
  };

  void read_batches(const std::stop_token& stop);
  std::shared_ptr<Batch> next_batch();
  bool add(std::vector<Window>& windows, const Piece& piece) const;
  bool in_page_cache(const Batch& batch) const;
  void bring(const Batch& batch);
  std::shared_ptr<const DirectFile> direct_file(const SafetensorsFile& file);
  void show(const std::vector<Window>& windows);
  void show_files_again(const std::vector<Window>& windows);
  Batch* find(uint64_t piece);
  void finish(uint64_t piece);

  const Checkpoint& checkpoint_;
  uint64_t slot_bytes_;
  std::unique_ptr<SharedMemory> memory_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  PieceCursor cursor_;
  uint64_t number_;  // of the cursor's next piece
  std::optional<Piece> held_back_;
  bool all_planned_ = false;
  std::deque<std::shared_ptr<Batch>> batches_;  // planned and not finished, in order
  std::vector<int> free_slots_;
  std::mutex mapping_;         // of shown_ and of changes to the maps
  std::vector<Window> shown_;  // at present; neighbours may share a page
  std::mutex opening_;
  std::deque<std::pair<const SafetensorsFile*, std::shared_ptr<const DirectFile>>> open_;  // the last few
  std::vector<std::jthread> readers_;                                                      // the last member: they end before the others go
};

}  // namespace dsv4
