// How much a weight suffers from INT8: the measure by which NNCF's data-free criterion ranks weights for --ratio.
#pragma once

#include "checkpoint/checkpoint.h"
#include "convert/selection.h"

namespace dsv4 {

/// Largest over the rows of the mean squared error of INT8_ASYM with a scale a row. Reads the whole weight, piece by piece, on all cores.
float int8_error(const Checkpoint& checkpoint, const WeightUnit& unit);

}  // namespace dsv4
