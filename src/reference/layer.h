// A block of the model in plain loops (spec 2.2), and what stands before the first and after the last one: embedding and head.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "reference/compressor.h"
#include "reference/linear_algebra.h"
#include "reference/stored_weights.h"

namespace dsv4::reference {

/// Error for no tokens and for an id outside [0, vocab).
void check_tokens(std::span<const int64_t> tokens, int64_t vocab);

/// Every stream begins as the token's embedding: [T, hc*D].
Matrix embed(const StoredWeights& weights, std::span<const int64_t> tokens);

/// The block's attention: of the normed input [T, D], [T, D].
using Attend = std::function<Matrix(const Matrix& x)>;

/// Streams [T, hc*D] through the block of `context`, in place. `tokens` are their ids, for hash routing. `expert_ids`, if given, gets [T*K] as selected.
void block(const LayerContext& context, std::span<const int64_t> tokens, const Attend& attend, Matrix& streams,
           std::vector<int32_t>* expert_ids);

/// logits [T, V] of the normed hidden states h [T, D].
std::vector<float> head(const StoredWeights& weights, const Matrix& h, int threads);

}  // namespace dsv4::reference
