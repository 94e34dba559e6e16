// Dot products in float32, for the instruction set that Highway compiles for at the moment: one arithmetic for any number of rows and tokens at once.
//
// A row times a token is the sum of its chunks of kFloatChunkColumns columns, in order. A chunk's sum is that of the lanes of one vector, whose lane j adds up
// columns j, j + kLanes, ... of the chunk by multiply_add, in order; columns beyond the last whole vector of the row are filled up with zeros. So the bits of
// a result do not depend on which kernel computed it. What is computed beside it, other rows and tokens, hides the latency of its additions.
#if defined(DSV4_OPS_MATRIX_FLOAT_DOTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_FLOAT_DOTS_INL_H_
#undef DSV4_OPS_MATRIX_FLOAT_DOTS_INL_H_
#else
#define DSV4_OPS_MATRIX_FLOAT_DOTS_INL_H_
#endif

#include "ops/matrix/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

/// The sums of R rows and T tokens over a chunk.
template <int R, int T>
class DotSums {
 public:
  HWY_INLINE DotSums() {
#pragma GCC unroll 32
    for (int i = 0; i < kVectors; ++i) sums_[i] = zeros();
  }

  /// One vector of columns: weights(r) of a row, x(t) of a token.
  template <class Weights, class X>
  HWY_INLINE void add(const Weights& weights, const X& x) {
    Floats w[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) w[r] = weights(r);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const Floats value = x(t);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sums_[t * R + r] = multiply_add(w[r], value, sums_[t * R + r]);
    }
  }

  /// Replaces each vector by f(vector).
  template <class F>
  HWY_INLINE void for_each(const F& f) {
#pragma GCC unroll 32
    for (int i = 0; i < R * T; ++i) sums_[i] = f(sums_[i]);
  }

  /// The sums of lanes: those of the first `rows` rows of token t to y(t)[r * apart], or added to what is there.
  template <class Y>
  HWY_INLINE void put(const Y& y, int64_t rows, int64_t apart, bool adds) const {
    float totals[kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; i += 4) sums_of_lanes(sums_[i], sums_[i + 1], sums_[i + 2], sums_[i + 3], totals + i);
    for (int t = 0; t < T; ++t) {
      float* to = y(t);
      for (int64_t r = 0; r < rows; ++r) to[r * apart] = adds ? to[r * apart] + totals[t * R + r] : totals[t * R + r];
    }
  }

 private:
  static constexpr int kVectors = (R * T + 3) / 4 * 4;
  Floats sums_[kVectors];
};

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
