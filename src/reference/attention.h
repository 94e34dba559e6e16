// One layer's attention (spec 2.5 to 2.8): window and compressed entries under one softmax with a sink, grouped output projection.
#pragma once

#include <cstdint>
#include <vector>

#include "reference/compressor.h"
#include "reference/linear_algebra.h"

namespace dsv4::reference {

/// x [T, D] is the attn_norm output of T positions; returns [T, D]. `index_selection`, if given, gets the indexer's choice
/// in a CSA layer and nothing in others.
Matrix attention(const LayerContext& context, const Matrix& x, std::vector<std::vector<int32_t>>* index_selection);

/// K = V of a layer's window, normed and rotated: [T, hd] of x [T, D] at positions `first`, first + 1, ...
Matrix window_rows(const LayerContext& context, const Matrix& x, int64_t first);

/// A draft block's attention: the n positions of x [n, D] from context.first_position on see the rows `before` [c, hd] and all n of their own, also later ones.
Matrix block_attention(const LayerContext& context, const Matrix& before, const Matrix& x);

}  // namespace dsv4::reference
