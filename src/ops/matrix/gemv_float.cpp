// Rows of any type times a few tokens in float32.
#include <array>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemv_float.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

HWY_INLINE float tail_dot(const float* w, const float* x, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += w[i] * x[i];
  return sum;
}

/// Four sums hide the latency of an addition.
template <class LoadWeights>
HWY_INLINE int64_t dot(const LoadWeights& weights, const float* x, int64_t n, float& sum) {
  Floats sums[4] = {zeros(), zeros(), zeros(), zeros()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int64_t k = 0; k < 4; ++k) sums[k] = multiply_add(weights(i + k * kLanes), load(x + i + k * kLanes), sums[k]);
  }
  for (; i + kLanes <= n; i += kLanes) sums[0] = multiply_add(weights(i), load(x + i), sums[0]);
  sum = sum_of_lanes(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  return i;
}

template <WeightType kType>
HWY_INLINE void float_rows(const Product& p, int64_t begin, int64_t end) {
  constexpr int64_t kBytes = kType == WeightType::kF32 ? 4 : 2;
  const PackedMatrix& m = p.matrix;
  for (int64_t r = begin; r < end; ++r) {
    const std::byte* w = m.codes + r * m.cols * kBytes;
    for (int64_t t = 0; t < p.x.tokens; ++t) {
      const float* x = p.x.values + (p.x.row ? p.x.row[t] : t) * p.x.stride;
      float sum;
      const int64_t done = dot([&](int64_t i) HWY_ATTR { return load_weights<kType>(w + i * kBytes); }, x, m.cols, sum);
      if (done < m.cols) {
        float rest[kLanes];
        unpack_columns(m, r, done, m.cols - done, rest);
        sum += tail_dot(rest, x + done, m.cols - done);
      }
      p.y[t * p.y_stride + r] = sum;
    }
  }
}

HWY_INLINE void unpacked_rows(const Product& p, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = 1024;
  alignas(64) float w[kColumns];
  const PackedMatrix& m = p.matrix;
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t c = 0; c < m.cols; c += kColumns) {
      const int64_t n = std::min(kColumns, m.cols - c);
      unpack_columns(m, r, c, n, w);
      for (int64_t t = 0; t < p.x.tokens; ++t) {
        const float* x = p.x.values + (p.x.row ? p.x.row[t] : t) * p.x.stride + c;
        float sum;
        const int64_t done = dot([&](int64_t i) HWY_ATTR { return load(w + i); }, x, n, sum);
        sum += tail_dot(w + done, x + done, n - done);
        float& y = p.y[t * p.y_stride + r];
        y = c == 0 ? sum : y + sum;
      }
    }
  }
}

void GemvFloat(const Product& p, int64_t begin, int64_t end) {
  switch (p.matrix.type) {
    case WeightType::kF32:
      return float_rows<WeightType::kF32>(p, begin, end);
    case WeightType::kF16:
      return float_rows<WeightType::kF16>(p, begin, end);
    case WeightType::kBF16:
      return float_rows<WeightType::kBF16>(p, begin, end);
    default:
      return unpacked_rows(p, begin, end);
  }
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(GemvFloat);

void gemv_float(const Product& product, int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(GemvFloat)(product, begin, end); }

}  // namespace dsv4::ops
#endif  // HWY_ONCE
