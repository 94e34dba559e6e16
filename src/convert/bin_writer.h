// Fills openvino_model.bin from the checkpoint: weights in parallel, a few rows at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "convert/errors.h"
#include "convert/finished_work.h"
#include "convert/plan.h"

namespace dsv4 {

struct BinWriterOptions {
  FinishedWork earlier;                                  ///< of an earlier run, checked: not done again
  std::shared_ptr<ContentHasher> earlier_bin;            ///< hash of the first earlier.bin_bytes; may be null when they are 0
  std::function<void(const FinishedWork& work)> record;  ///< this is on the disk to stay; may be empty
  uint64_t record_bytes = 1u << 30;                      ///< written between two records
  uint64_t direct_bytes = 0;                             ///< a .bin of so many or more is written past the page cache, a checkpoint read so
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< bytes of the .bin; may be empty
  const std::atomic<bool>* stop = nullptr;                      ///< becomes true when the work is to be interrupted
};

/// Writes the plan's constants at their offsets and `small_constants` at `small_offset`, and returns what is finished: all pieces, with the hash of the whole .bin,
/// which has exactly the planned length and is on the disk to stay. The file's blocks are reserved first, so that a full disk is an Error before any work. Source pages are
/// given back as soon as they are converted. A piece is some rows of a weight; their order depends on the plan alone. On WriteError and Interrupted
/// the finished ones have been recorded. BadInput for values that are no numbers or do not fit their form, and for a shard that is changed meanwhile.
FinishedWork write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
                       const std::filesystem::path& path, const BinWriterOptions& options);

}  // namespace dsv4
