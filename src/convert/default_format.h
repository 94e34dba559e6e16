// The weight format of a conversion that does not name one.
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/checkpoint.h"
#include "convert/weight_format.h"

namespace dsv4 {

struct DefaultFormat {
  WeightFormat format = WeightFormat::kFp32;
  std::string why;  ///< for the user; empty for a small model
};

/// MXFP4 where the routed experts are published in FP4 and the model has more than 10^9 parameters, INT8 for others of that size (float32 of V4-Flash would be
/// more than a terabyte), float32 below it. `layers`: only the first N are converted; -1: all.
DefaultFormat default_format(const Checkpoint& checkpoint, int64_t layers);

}  // namespace dsv4
