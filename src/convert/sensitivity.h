// How much a weight suffers from INT8: the measure by which NNCF's data-free criterion ranks weights for --ratio.
#pragma once

#include <functional>

#include "checkpoint/checkpoint.h"
#include "convert/selection.h"

namespace dsv4 {

/// Largest over the rows of the mean squared error of INT8_ASYM with a scale a row. Reads the whole weight, piece by piece, on all cores; once stopped() is true,
/// it ends early and the number means nothing.
float int8_error(const Checkpoint& checkpoint, const WeightUnit& unit, const std::function<bool()>& stopped);

}  // namespace dsv4
