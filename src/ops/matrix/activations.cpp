// Activations rounded to 8 bits in blocks of 32.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/matrix/multiply.h"
#include "ops/support/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/activations.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

// Blocks whose largest value is below this are taken for zeros: 127 / largest would be infinite.
constexpr float kSmallest = 0x1p-120f;

// largest_of(x): the largest magnitude of a whole block, NaN if one is NaN or infinite. round_block(x, inverse, codes): x * inverse to the nearest integers,
// ties to even, and their sum.

#if DSV4_AVX512

HWY_INLINE float largest_of(const float* x) {
  const __m512 a = _mm512_abs_ps(_mm512_loadu_ps(x)), b = _mm512_abs_ps(_mm512_loadu_ps(x + 16));
  // As integers: NaN is above infinity.
  return _mm512_reduce_max_epi32(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) >= 0x7F800000
             ? std::numeric_limits<float>::quiet_NaN()
             : _mm512_reduce_max_ps(_mm512_max_ps(a, b));
}

HWY_INLINE int32_t round_block(const float* x, float inverse, int8_t* codes) {
  const __m512 factor = _mm512_set1_ps(inverse);
  const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor));
  const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm256_set_m128i(_mm512_cvtepi32_epi8(b), _mm512_cvtepi32_epi8(a)));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
}

#elif DSV4_AVX2

HWY_INLINE float largest_of(const float* x) {
  const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < 32; i += 8) {
    largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)), mask));
  }
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  // As integers magnitudes are in the same order, with NaN above infinity.
  const int32_t bits = _mm_cvtsi128_si32(half);
  return bits >= 0x7F800000 ? std::numeric_limits<float>::quiet_NaN() : _mm_cvtss_f32(_mm_castsi128_ps(half));
}

HWY_INLINE int32_t round_block(const float* x, float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const auto rounded = [&](int i) HWY_ATTR { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor)); };
  const __m256i a = rounded(0), b = rounded(8), c = rounded(16), d = rounded(24);
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));  // in fours: a c | a c and so on
  const __m256i in_order = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), in_order);
  const __m256i sums = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

#else

HWY_INLINE float largest_of(const float* x) {
  float largest = 0.0f;
  for (int i = 0; i < kActivationBlock; ++i) {
    if (!std::isfinite(x[i])) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::abs(x[i]));
  }
  return largest;
}

HWY_INLINE int32_t round_block(const float* x, float inverse, int8_t* codes) {
  int32_t sum = 0;
  for (int i = 0; i < kActivationBlock; ++i) {
    const auto code = static_cast<int32_t>(std::nearbyint(x[i] * inverse));
    codes[i] = static_cast<int8_t>(code);
    sum += code;
  }
  return sum;
}

#endif

/// A block's even and odd codes.
HWY_INLINE void split(const int8_t* codes, int8_t* even, int8_t* odd) {
#if DSV4_AVX512 || DSV4_AVX2
  const __m256i evens_first = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
  const __m256i halves = _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)), evens_first);
  const __m256i parts = _mm256_permute4x64_epi64(halves, 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(even), _mm256_castsi256_si128(parts));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(odd), _mm256_extracti128_si256(parts, 1));
#else
  for (int64_t i = 0; i < kActivationBlock / 2; ++i) {
    even[i] = codes[2 * i];
    odd[i] = codes[2 * i + 1];
  }
#endif
}

/// One row.
void RoundRow(const float* x, int64_t cols, int8_t* codes, int8_t* planes, float* scales, float* sums) {
  const int64_t blocks = (cols + kActivationBlock - 1) / kActivationBlock;
  int8_t* odd = planes + blocks * kActivationBlock / 2;
  for (int64_t b = 0; b < blocks; ++b) {
    const float* from = x + b * kActivationBlock;
    int8_t* to = codes + b * kActivationBlock;
    float last[kActivationBlock] = {};
    if (const int64_t left = cols - b * kActivationBlock; left < kActivationBlock) {
      std::copy_n(from, left, last);
      from = last;
    }
    const float largest = largest_of(from);
    if (largest >= kSmallest) {
      const float scale = largest / 127.0f;
      const int32_t sum = round_block(from, 127.0f / largest, to);
      scales[b] = scale;
      sums[b] = scale * static_cast<float>(sum);
    } else {
      std::fill_n(to, kActivationBlock, int8_t{0});
      scales[b] = sums[b] = largest < kSmallest ? 0.0f : largest;
    }
    split(to, planes + b * kActivationBlock / 2, odd + b * kActivationBlock / 2);
  }
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(RoundRow);

Activations Activations::slice(int64_t begin, int64_t n) const {
  Activations some = *this;
  some.tokens = n;
  if (row) {
    some.row += begin;
    return some;
  }
  some.values += begin * stride;
  if (codes) {
    some.codes += begin * blocks() * kActivationBlock;
    some.planes += begin * blocks() * kActivationBlock;
    some.scales += begin * blocks();
    some.sums += begin * blocks();
  }
  return some;
}

Activations make_activations(const float* x, int64_t tokens, int64_t cols, int64_t stride, ActivationRounding mode, Scratch& scratch) {
  Activations a{.values = x, .tokens = tokens, .cols = cols, .stride = stride};
  if (mode == ActivationRounding::kF32) return a;
  constexpr int64_t kLanesBeyond = 16;  // kernels load whole vectors of scales
  const int64_t blocks = a.blocks();
  int8_t* codes = scratch.take<int8_t>(tokens * blocks * kActivationBlock);
  int8_t* planes = scratch.take<int8_t>(tokens * blocks * kActivationBlock);
  float* scales = scratch.take<float>(tokens * blocks + kLanesBeyond);
  std::fill_n(scales + tokens * blocks, kLanesBeyond, 0.0f);  // chance bits may be subnormal numbers, which are slow to multiply
  float* sums = scratch.take<float>(tokens * blocks);
  constexpr int64_t kValuesAtOnce = 1 << 14;  // some microseconds
  parallel_pieces(tokens, std::max<int64_t>(1, kValuesAtOnce / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      HWY_DYNAMIC_DISPATCH(RoundRow)
      (x + t * stride, cols, codes + t * blocks * kActivationBlock, planes + t * blocks * kActivationBlock, scales + t * blocks,
       sums + t * blocks);
    }
  });
  a.codes = codes;
  a.planes = planes;
  a.scales = scales;
  a.sums = sums;
  return a;
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
