// Loops over rows of floats in vectors, for the instruction set that Highway compiles for at the moment. Included after foreach_target.h.
#if defined(DSV4_OPS_SUPPORT_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_SUPPORT_VECTORS_INL_H_
#undef DSV4_OPS_SUPPORT_VECTORS_INL_H_
#else
#define DSV4_OPS_SUPPORT_VECTORS_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

/// f(tag, i) for whole vectors of [0, n), then for single values.
template <class F>
HWY_INLINE void for_each_vector(int64_t n, const F& f) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(FloatTag(), i);
  for (; i < n; ++i) f(One(), i);
}

/// The same; the sum of what f returns.
template <class F>
HWY_INLINE float sum_over(int64_t n, const F& f) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  auto sums = hn::Zero(FloatTag());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) sums = hn::Add(sums, f(FloatTag(), i));
  float sum = hn::GetLane(hn::SumOfLanes(FloatTag(), sums));
  for (; i < n; ++i) sum += hn::GetLane(f(One(), i));
  return sum;
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
