// Asking the kernel for the pages of a weight before they are read, so that the disk works while something else is computed.
#pragma once

#include "ops/matrix/packed_matrix.h"

namespace dsv4::ops {

/// Codes, scales and zero points of a plain matrix in a mapped file. Without effect on memory of another kind. Never fails: it is advice.
void prefetch(const PackedMatrix& matrix);

}  // namespace dsv4::ops
