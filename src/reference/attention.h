// One layer's attention (spec 2.5 to 2.8): window and compressed entries under one softmax with a sink, grouped output projection.
#pragma once

#include <cstdint>
#include <vector>

#include "reference/compressor.h"
#include "reference/linear_algebra.h"

namespace dsv4::reference {

/// x [T, D] is the attn_norm output of positions 0..T-1; returns [T, D]. `index_selection`, if given, gets the indexer's choice
/// in a CSA layer and nothing in others.
Matrix attention(const LayerContext& context, const Matrix& x, std::vector<std::vector<int32_t>>* index_selection);

}  // namespace dsv4::reference
