// The arithmetic of the experts that is no product of matrices (spec 2.12): scores, selection, SwiGLU, sums.
#pragma once

#include <cstdint>

namespace dsv4::ops {

/// sqrt(softplus(logit)), in place.
void router_scores(float* values, int64_t n);

/// The k largest of scores + bias [n], the largest first, of equal ones the lower expert; k different ones in [0, n) whatever the values. k <= n.
/// `best` is memory for k values.
void select_experts(const float* scores, const float* bias, int64_t n, int64_t k, float* best, int32_t* experts);

/// scores of the selected / their sum * factor.
void expert_weights(const float* scores, const int32_t* experts, int64_t k, float factor, float* weights);

/// hidden[i] = SiLU(min(gate[i], limit)) * clamp(up[i], -limit, limit) * weight, written over gate; no clamps where limit is 0.
void swiglu(float* gate, const float* up, int64_t n, float limit, float weight);

/// sum[i] = first[i] + rows[0][i] + rows[1][i] + ..., in this order.
void add_rows(const float* first, const float* const* rows, int64_t count, int64_t n, float* sum);

}  // namespace dsv4::ops
