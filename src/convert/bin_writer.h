// Fills openvino_model.bin from the checkpoint: weights in parallel, a few rows at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "convert/plan.h"
#include "dsv4/error.h"

namespace dsv4 {

/// Somebody asked the conversion to stop; the finished pieces are recorded.
class Interrupted : public Error {
 public:
  using Error::Error;
};

struct BinWriterOptions {
  uint64_t finished_pieces = 0;                                 ///< of an earlier run: not written again
  std::function<void(uint64_t pieces)> record;                  ///< this many pieces, in order, are on the disk to stay; may be empty
  uint64_t record_bytes = 1u << 30;                             ///< written between two records
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< bytes of the .bin; may be empty
  const std::atomic<bool>* stop = nullptr;                      ///< becomes true when the work is to be interrupted
};

/// Writes the plan's constants at their offsets and `small_constants` at `small_offset`. The file's blocks are reserved first, so that a full disk is an
/// Error before any work. Source pages are given back as soon as they are converted. A piece is some rows of a weight; their order depends on the
/// plan alone. On WriteError and Interrupted the finished ones have been recorded. Error for values that are no numbers or do not fit their form.
void write_bin(const Checkpoint& checkpoint, const StoragePlan& plan, uint64_t small_offset, std::string_view small_constants,
               const std::filesystem::path& path, const BinWriterOptions& options);

}  // namespace dsv4
