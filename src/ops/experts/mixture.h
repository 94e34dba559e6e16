// The mixture of experts of one layer for some tokens (spec 2.12): routing, tokens batched by expert, sums.
#pragma once

#include <cstdint>

#include "ops/experts/expert_source.h"
#include "ops/matrix/multiply.h"

namespace dsv4::ops {

struct MixtureLayer {
  PackedMatrix gate;                 ///< [E,D]
  PackedMatrix gate_up;              ///< E x [2I,D]
  PackedMatrix down;                 ///< E x [D,I]
  PackedMatrix w1, w3, w2;           ///< the shared expert: [I,D], [I,D], [D,I]
  const std::byte* table = nullptr;  ///< i32 [vocabulary,K], unaligned; null: the bias selects
  int64_t vocabulary = 0;
  const float* bias = nullptr;  ///< [E]
  int64_t experts_per_token = 0;
  float scaling_factor = 1.0f;
  float swiglu_limit = 0.0f;
  ActivationRounding mode = ActivationRounding::kF32;
  bool prefetch = false;
  ExpertSource* source = nullptr;  ///< of the experts' bytes, those of its layer `index`; null: they are read where gate_up and down lie
  RouteObserver* observer = nullptr;
  int64_t index = 0;

  int64_t experts() const { return gate.rows; }
  int64_t width() const { return gate.cols; }
  int64_t inner() const { return w1.rows; }
};

/// x [tokens,D], ids [tokens] -> y [tokens,D]. Working memory grows with `tokens`. ov::Exception as Experts says.
void mixture_of_experts(const MixtureLayer& layer, const float* x, const int32_t* ids, int64_t tokens, float* y);

}  // namespace dsv4::ops
