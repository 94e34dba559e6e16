// Vectors of floats as the kernels use them, for the instruction set that Highway compiles for at the moment. Included once for each.
//
// x86 by intrinsics, because most of these kernels need instructions that Highway (1.0) has no name for; everything else by the compilers' own vectors.
#if defined(DSV4_OPS_MATRIX_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_SIMD_INL_H_
#undef DSV4_OPS_MATRIX_SIMD_INL_H_
#else
#define DSV4_OPS_MATRIX_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/numbers.h"
#include "ops/matrix/packed_matrix.h"

// What later releases of Highway add above HWY_AVX3_DL is 0 in this one.
#undef DSV4_AVX512
#undef DSV4_VNNI
#undef DSV4_AVX2
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3_ZEN4 || HWY_TARGET == HWY_AVX3_SPR
#define DSV4_AVX512 1
#define DSV4_VNNI 1
#elif HWY_TARGET == HWY_AVX3
#define DSV4_AVX512 1
#elif HWY_TARGET == HWY_AVX2
#define DSV4_AVX2 1
#endif
#if DSV4_AVX512 || DSV4_AVX2
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined vectors in its own AVX-512 intrinsics for uninitialised ones (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

constexpr float kF8Unit = 256.0f;  ///< what FP8 values that load_f8 gives have to be multiplied with; exact

#if DSV4_AVX512

constexpr int64_t kLanes = 16;
using Floats = __m512;

HWY_INLINE Floats zeros() { return _mm512_setzero_ps(); }
HWY_INLINE Floats all(float value) { return _mm512_set1_ps(value); }
HWY_INLINE Floats load(const float* from) { return _mm512_loadu_ps(from); }
HWY_INLINE Floats load_first(const float* from, int64_t n) { return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), from); }
HWY_INLINE void store(float* to, Floats v) { _mm512_storeu_ps(to, v); }
HWY_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
HWY_INLINE Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
HWY_INLINE Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
HWY_INLINE Floats permute(Floats v, __m512i from) { return _mm512_permutexvar_ps(from, v); }
HWY_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
HWY_INLINE float sum_of_lanes(Floats v) { return _mm512_reduce_add_ps(v); }
HWY_INLINE void sums_of_lanes(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d ab_d = _mm512_castps_pd(ab), cd_d = _mm512_castps_pd(cd);
  const __m512 quads = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab_d, cd_d)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab_d, cd_d)));
  const __m256 pairs = _mm256_add_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps(quads, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}
HWY_INLINE Floats load_f16(const std::byte* from) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))); }
HWY_INLINE Floats load_bf16(const std::byte* from) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
/// FP8 in units of kF8Unit: sign, exponent and fraction are those of a float16 of another bias, whose conversion takes subnormal numbers too.
HWY_INLINE Floats load_f8(const std::byte* from) {
  const __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(words, 7), _mm256_set1_epi16(static_cast<int16_t>(0xBF80))));
}
template <NumberFormat kType>
HWY_INLINE Floats load_bytes(const std::byte* from) {
  if constexpr (kType == NumberFormat::kF8E4M3) return load_f8(from);
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(kType == NumberFormat::kU8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes));
}

#elif DSV4_AVX2

constexpr int64_t kLanes = 8;
using Floats = __m256;

HWY_INLINE Floats zeros() { return _mm256_setzero_ps(); }
HWY_INLINE Floats all(float value) { return _mm256_set1_ps(value); }
HWY_INLINE Floats load(const float* from) { return _mm256_loadu_ps(from); }
HWY_INLINE Floats load_first(const float* from, int64_t n) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)), lanes));
}
HWY_INLINE void store(float* to, Floats v) { _mm256_storeu_ps(to, v); }
HWY_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
HWY_INLINE Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
HWY_INLINE Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
HWY_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
HWY_INLINE float sum_of_lanes(Floats v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
HWY_INLINE void sums_of_lanes(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  const __m256d ab_d = _mm256_castps_pd(ab), cd_d = _mm256_castps_pd(cd);
  const __m256 quads = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab_d, cd_d)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab_d, cd_d)));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(quads), _mm256_extractf128_ps(quads, 1)));
}
HWY_INLINE Floats load_f16(const std::byte* from) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))); }
HWY_INLINE Floats load_bf16(const std::byte* from) {
  const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
HWY_INLINE Floats load_f8(const std::byte* from) {
  const __m128i words = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(words, 7), _mm_set1_epi16(static_cast<int16_t>(0xBF80))));
}
template <NumberFormat kType>
HWY_INLINE Floats load_bytes(const std::byte* from) {
  if constexpr (kType == NumberFormat::kF8E4M3) return load_f8(from);
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm256_cvtepi32_ps(kType == NumberFormat::kU8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes));
}

#else

constexpr int64_t kLanes = 4;
using Floats = float __attribute__((vector_size(16)));

HWY_INLINE Floats zeros() { return Floats{}; }
HWY_INLINE Floats all(float value) { return Floats{value, value, value, value}; }
HWY_INLINE Floats load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
HWY_INLINE Floats load_first(const float* from, int64_t n) {
  float values[4] = {};
  for (int64_t i = 0; i < n; ++i) values[i] = from[i];
  return load(values);
}
HWY_INLINE void store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }
HWY_INLINE Floats add(Floats a, Floats b) { return a + b; }
HWY_INLINE Floats mul(Floats a, Floats b) { return a * b; }
HWY_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
HWY_INLINE float sum_of_lanes(Floats v) { return (v[0] + v[2]) + (v[1] + v[3]); }
HWY_INLINE void sums_of_lanes(Floats a, Floats b, Floats c, Floats d, float* out) {
  out[0] = sum_of_lanes(a);
  out[1] = sum_of_lanes(b);
  out[2] = sum_of_lanes(c);
  out[3] = sum_of_lanes(d);
}
HWY_INLINE Floats load_f16(const std::byte* from) {
  uint16_t bits[4];
  std::memcpy(bits, from, sizeof bits);
  return Floats{f16_to_f32(bits[0]), f16_to_f32(bits[1]), f16_to_f32(bits[2]), f16_to_f32(bits[3])};
}
HWY_INLINE Floats load_bf16(const std::byte* from) {
  uint16_t bits[4];
  std::memcpy(bits, from, sizeof bits);
  return Floats{bf16_to_f32(bits[0]), bf16_to_f32(bits[1]), bf16_to_f32(bits[2]), bf16_to_f32(bits[3])};
}

#endif

HWY_INLINE float load_one_f16(const std::byte* from) {
  uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
#if DSV4_AVX512 || DSV4_AVX2
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
#else
  return f16_to_f32(bits);
#endif
}

/// kLanes weights of a float type, from any address.
template <NumberFormat kType>
HWY_INLINE Floats load_weights(const std::byte* from) {
  if constexpr (kType == NumberFormat::kF16) return load_f16(from);
  if constexpr (kType == NumberFormat::kBF16) return load_bf16(from);
  return load(reinterpret_cast<const float*>(from));
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
