// The scales of a weight as floats, whatever they are stored in.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace dsv4 {

/// One row of a scale tensor [rows, columns] of F32, BF16, F16, E4M3 or E8M0. What is no number stays none: the caller says what that means.
void decode_scale_row(const TensorView& scale, int64_t row, std::vector<float>& out);

}  // namespace dsv4
