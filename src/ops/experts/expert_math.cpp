// Scores, selection, SwiGLU and sums in vectors.
#include "ops/experts/expert_math.h"

#include <limits>

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/experts/expert_math.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/support/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

void RouterScores(float* values, int64_t n) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto l = hn::LoadU(d, values + i);
    const auto softplus = hn::Add(hn::Log1p(d, hn::Exp(d, hn::Neg(hn::Abs(l)))), hn::Max(l, hn::Zero(d)));
    hn::StoreU(hn::Sqrt(softplus), d, values + i);
  });
}

void Swiglu(float* gate, const float* up, int64_t n, float limit, float weight) {
  const float most = limit > 0.0f ? limit : std::numeric_limits<float>::infinity();
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::Min(hn::LoadU(d, gate + i), hn::Set(d, most));
    const auto u = hn::Max(hn::Min(hn::LoadU(d, up + i), hn::Set(d, most)), hn::Set(d, -most));
    // g * sigmoid(g): e^-|g| cannot overflow.
    const auto e = hn::Exp(d, hn::Neg(hn::Abs(g)));
    const auto numerator = hn::IfThenElse(hn::Lt(g, hn::Zero(d)), hn::Mul(g, e), g);
    const auto silu = hn::Div(numerator, hn::Add(hn::Set(d, 1.0f), e));
    hn::StoreU(hn::Mul(hn::Mul(silu, u), hn::Set(d, weight)), d, gate + i);
  });
}

void AddRows(const float* first, const float* const* rows, int64_t count, int64_t n, float* sum) {
  for_each_vector(n, [=](auto d, int64_t i) HWY_ATTR {
    auto total = hn::LoadU(d, first + i);
    for (int64_t r = 0; r < count; ++r) total = hn::Add(total, hn::LoadU(d, rows[r] + i));
    hn::StoreU(total, d, sum + i);
  });
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

namespace {
HWY_EXPORT(RouterScores);
HWY_EXPORT(Swiglu);
HWY_EXPORT(AddRows);
}  // namespace

void router_scores(float* values, int64_t n) { HWY_DYNAMIC_DISPATCH(RouterScores)(values, n); }

void select_experts(const float* scores, const float* bias, int64_t n, int64_t k, float* best, int32_t* experts) {
  for (int64_t e = 0; e < n; ++e) {
    const float score = scores[e] + bias[e];
    int64_t place = e < k ? e : k;  // the list is as long as this
    if (place == k && !(score > best[k - 1])) continue;
    if (place == k) --place;
    for (; place > 0 && score > best[place - 1]; --place) {
      best[place] = best[place - 1];
      experts[place] = experts[place - 1];
    }
    best[place] = score;
    experts[place] = static_cast<int32_t>(e);
  }
}

void expert_weights(const float* scores, const int32_t* experts, int64_t k, float factor, float* weights) {
  float sum = 0.0f;
  for (int64_t i = 0; i < k; ++i) sum += scores[experts[i]];
  for (int64_t i = 0; i < k; ++i) weights[i] = scores[experts[i]] / sum * factor;
}

void swiglu(float* gate, const float* up, int64_t n, float limit, float weight) {
  HWY_DYNAMIC_DISPATCH(Swiglu)(gate, up, n, limit, weight);
}

void add_rows(const float* first, const float* const* rows, int64_t count, int64_t n, float* sum) {
  HWY_DYNAMIC_DISPATCH(AddRows)(first, rows, count, n, sum);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
