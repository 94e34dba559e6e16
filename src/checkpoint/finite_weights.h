// Reading every weight of a checkpoint to see that it is a number: what `dsv4 inspect --deep` does.
#pragma once

#include <cstdint>
#include <functional>

#include "checkpoint/checkpoint.h"

namespace dsv4 {

/// Reads all weights, the draft's too, at the speed of the disk or of all cores, a few megabytes at a time. Error that names shard, tensor and place of the first NaN or
/// infinity in the order of the table, and in how many tensors there are such; also for scales. `progress`, which may be empty, gets bytes of the weights as stored.
void check_weights_finite(const Checkpoint& checkpoint, const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace dsv4
