// Vector code of attention, compiled for every instruction set: rows of a cache as float32, products of tiles.
//
// Included by .cpp files after their foreach_target.h; include guards of this form let each target have its copy.
#if defined(DSV4_OPS_ATTENTION_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_ATTENTION_VECTORS_INL_H
#undef DSV4_OPS_ATTENTION_VECTORS_INL_H
#else
#define DSV4_OPS_ATTENTION_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/dequantize.h"
#include "ops/attention/cache.h"
#include "ops/attention/rows.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using RowTag = hn::CappedTag<float, kRowLanes>;
using Vec = hn::Vec<RowTag>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(RowTag())); }

/// The first n values at x, zeros in the lanes beyond; reads nothing past them.
HWY_INLINE Vec load_part(const float* x, int64_t n) {
  const RowTag d;
  if (n >= lanes()) return hn::LoadU(d, x);
  float part[kRowLanes] = {};
  std::copy_n(x, n, part);
  return hn::LoadU(d, part);
}

/// One row of a cache as float32: `dims` values, then zeros up to padded(dims).
HWY_INLINE void load_row(const std::byte* row, CachePrecision type, int64_t dims, float* out) {
  if (type == CachePrecision::kBF16) {
    bf16_to_f32_row(row, dims, out);
  } else {
    std::copy_n(static_cast<const float*>(static_cast<const void*>(row)), dims, out);
  }
  std::fill(out + dims, out + padded(dims), 0.0f);
}

/// Six rows of c [6, width] = (c +) a b: a[i,k] at a[i]+k*a_col, b[k,j] at b + k*b_row, one or two vectors wide.
template <bool kTwo>
HWY_INLINE void six_rows(const float* const* a, int64_t a_col, const float* b, int64_t b_row, int64_t depth, float* const* c, bool add) {
  const RowTag d;
  const int64_t second = kTwo ? lanes() : 0;
  const auto start = [&](int i, int64_t at) HWY_ATTR { return add ? hn::LoadU(d, c[i] + at) : hn::Zero(d); };
  auto c00 = start(0, 0), c10 = start(1, 0), c20 = start(2, 0), c30 = start(3, 0), c40 = start(4, 0), c50 = start(5, 0);
  auto c01 = start(0, second), c11 = start(1, second), c21 = start(2, second);
  auto c31 = start(3, second), c41 = start(4, second), c51 = start(5, second);
  const float *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];
  for (int64_t k = 0; k < depth; ++k) {
    const auto b0 = hn::LoadU(d, b + k * b_row);
    const auto b1 = hn::LoadU(d, b + k * b_row + second);
    const int64_t at = k * a_col;
    auto x = hn::Set(d, a0[at]);
    c00 = hn::MulAdd(x, b0, c00);
    if constexpr (kTwo) c01 = hn::MulAdd(x, b1, c01);
    x = hn::Set(d, a1[at]);
    c10 = hn::MulAdd(x, b0, c10);
    if constexpr (kTwo) c11 = hn::MulAdd(x, b1, c11);
    x = hn::Set(d, a2[at]);
    c20 = hn::MulAdd(x, b0, c20);
    if constexpr (kTwo) c21 = hn::MulAdd(x, b1, c21);
    x = hn::Set(d, a3[at]);
    c30 = hn::MulAdd(x, b0, c30);
    if constexpr (kTwo) c31 = hn::MulAdd(x, b1, c31);
    x = hn::Set(d, a4[at]);
    c40 = hn::MulAdd(x, b0, c40);
    if constexpr (kTwo) c41 = hn::MulAdd(x, b1, c41);
    x = hn::Set(d, a5[at]);
    c50 = hn::MulAdd(x, b0, c50);
    if constexpr (kTwo) c51 = hn::MulAdd(x, b1, c51);
  }
  hn::StoreU(c00, d, c[0]);
  hn::StoreU(c10, d, c[1]);
  hn::StoreU(c20, d, c[2]);
  hn::StoreU(c30, d, c[3]);
  hn::StoreU(c40, d, c[4]);
  hn::StoreU(c50, d, c[5]);
  if constexpr (kTwo) {
    hn::StoreU(c01, d, c[0] + second);
    hn::StoreU(c11, d, c[1] + second);
    hn::StoreU(c21, d, c[2] + second);
    hn::StoreU(c31, d, c[3] + second);
    hn::StoreU(c41, d, c[4] + second);
    hn::StoreU(c51, d, c[5] + second);
  }
}

/// c [rows, width] = (c +) a b with a[i,k] at a + i*a_row + k*a_col; width is a multiple of kRowLanes. Rows beyond the last are the last one again: they
/// compute and store the same values.
HWY_INLINE void multiply_row_tile(const float* a, int64_t a_row, int64_t a_col, int64_t rows, const float* b, int64_t b_row, int64_t width,
                                  int64_t depth, float* c, int64_t c_row, bool add) {
  for (int64_t j = 0; j < width;) {
    const bool two = j + 2 * lanes() <= width;
    for (int64_t i = 0; i < rows; i += 6) {
      const float* from[6];
      float* to[6];
      for (int64_t r = 0; r < 6; ++r) {
        const int64_t row = std::min(i + r, rows - 1);
        from[r] = a + row * a_row;
        to[r] = c + row * c_row + j;
      }
      if (two) {
        six_rows<true>(from, a_col, b + j, b_row, depth, to, add);
      } else {
        six_rows<false>(from, a_col, b + j, b_row, depth, to, add);
      }
    }
    j += two ? 2 * lanes() : lanes();
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
