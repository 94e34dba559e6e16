// The mixture of experts of one layer (spec 2.12): router, routed SwiGLU experts, the shared expert.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "reference/compressor.h"
#include "reference/linear_algebra.h"

namespace dsv4::reference {

/// x [T, D] is the ffn_norm output, tokens the ids [T] (hash routing needs them); returns [T, D]. Reads only the experts that
/// a token goes to, one at a time. `expert_ids`, if given, gets [T*K] as selected.
Matrix mixture_of_experts(const LayerContext& context, const Matrix& x, std::span<const int64_t> tokens, std::vector<int32_t>* expert_ids);

}  // namespace dsv4::reference
