// The runs of a call: which of its rows belong to which sequence, and where in it they stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "openvino/runtime/tensor.hpp"
#include "ops/attention/cache_view.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

constexpr int64_t kRunNumbers = 4;  ///< first row, rows, position, slot

/// Consecutive rows of a call that are consecutive tokens of one sequence.
struct Run {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t position = 0;  ///< of its first row: tokens that the sequence has before the call
  CacheView cache;
  /// What the window will keep of this call: rows [hd] in the cache's type, the first at `position`.
  const std::byte* window_rows = nullptr;
};

/// Whose token a row is, and which.
struct RowPlace {
  const Run* run = nullptr;
  int64_t position = 0;
};

/// `runs` i32 [R,4] of a call of `rows` rows, in the order of their rows; runs of no rows behind the others are none. ov::Exception unless every row is in one run, every slot is a cache of the layer that
/// occurs once and has room, and all caches have one type.
std::span<Run> read_runs(const ov::Tensor& runs, int64_t rows, const ExpectedLayer& layer, Scratch& scratch);

/// Of every row of the call.
const RowPlace* places_of(std::span<const Run> runs, int64_t rows, Scratch& scratch);

}  // namespace dsv4::ops
