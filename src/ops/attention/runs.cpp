// Checks of runs: they are an input of the graph, and wrong ones would write to another sequence's cache.
#include "ops/attention/runs.h"

#include <algorithm>
#include <memory>

#include "openvino/core/except.hpp"
#include "ops/attention/cache_pool.h"

namespace dsv4::ops {

std::span<Run> read_runs(const ov::Tensor& tensor, int64_t rows, const ExpectedLayer& layer, Scratch& scratch) {
  const ov::Shape& shape = tensor.get_shape();
  OPENVINO_ASSERT(shape.size() == 2 && shape[1] == static_cast<size_t>(kRunNumbers), "runs: shape ", shape, "; expected [R,", kRunNumbers,
                  "]: first row, rows, position, slot");
  const auto* numbers = tensor.data<const int32_t>();
  auto count = static_cast<int64_t>(shape[0]);
  while (count > 0 && numbers[(count - 1) * kRunNumbers + 1] == 0) --count;  // for graphs with a fixed number of runs
  OPENVINO_ASSERT(count <= rows, "runs: ", count, " for ", rows, " rows; every run has a row of its own");
  Run* runs = scratch.take<Run>(count);
  int32_t* slots = scratch.take<int32_t>(count);
  int64_t end = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t* run = numbers + i * kRunNumbers;
    OPENVINO_ASSERT(run[0] == end, "runs: run ", i, " begins at row ", run[0], ", the runs before it end at ", end,
                    "; every row belongs to one run, in order");
    OPENVINO_ASSERT(run[1] >= 1 && run[1] <= rows - end, "runs: run ", i, " has ", run[1], " rows from row ", end, " of ", rows);
    end += run[1];
    slots[i] = run[3];
    Run& made = *std::construct_at(runs + i, Run{run[0], run[1], run[2], open_cache(cache_of_slot(run[3]), layer)});
    OPENVINO_ASSERT(made.position >= 0 && made.position <= made.cache.capacity - made.rows, "Attention: ", made.rows,
                    " tokens at position ", made.position, " of a cache for ", made.cache.capacity, "; make the cache for more positions");
    OPENVINO_ASSERT(made.cache.type == runs[0].cache.type, "runs: run ", i, " has a cache of another type than those before it");
  }
  OPENVINO_ASSERT(end == rows, "runs: they end at row ", end, " of ", rows, "; every row belongs to one run");
  std::sort(slots, slots + count);
  const int32_t* twice = std::adjacent_find(slots, slots + count);
  OPENVINO_ASSERT(twice == slots + count, "runs: slot ", twice == slots + count ? 0 : *twice, " twice; a sequence has one run in a call");
  return {runs, static_cast<size_t>(count)};
}

const RowPlace* places_of(std::span<const Run> runs, int64_t rows, Scratch& scratch) {
  RowPlace* places = scratch.take<RowPlace>(rows);
  for (const Run& run : runs) {
    for (int64_t i = 0; i < run.rows; ++i) std::construct_at(places + run.first_row + i, RowPlace{&run, run.position + i});
  }
  return places;
}

}  // namespace dsv4::ops
