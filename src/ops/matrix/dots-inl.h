// Integer dot products, for the instruction set that Highway compiles for at the moment.
#if defined(DSV4_OPS_MATRIX_DOTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_DOTS_INL_H_
#undef DSV4_OPS_MATRIX_DOTS_INL_H_
#else
#define DSV4_OPS_MATRIX_DOTS_INL_H_
#endif

#include "ops/matrix/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_VNNI

// vpdpbusd: sum += four products of unsigned and signed bytes, in every 32-bit lane. As assembly, because Highway 1.0 asks the compiler for AVX-VNNI where it
// means AVX512-VNNI, so that the intrinsics do not compile.
HWY_INLINE __m512i dot4(__m512i sum, __m512i u, __m512i s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
  return sum;
}

HWY_INLINE __m512i dot4(__m512i sum, __m512i u, const int8_t* s) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "m"(*reinterpret_cast<const __m512i_u*>(s)));
  return sum;
}

/// The same four signed bytes in every lane.
HWY_INLINE __m512i dot4_same(__m512i sum, __m512i u, const int8_t* s) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(u), "m"(*reinterpret_cast<const int8_t(*)[4]>(s)));
  return sum;
}

#elif DSV4_AVX512 || DSV4_AVX2

/// Sums of pairs of products. Unsigned 4-bit codes: at most 2*24*127. Does not saturate for signed bytes through abs and sign: at most 2*128*127.
HWY_INLINE __m256i pairs_of(__m256i u, __m256i s) { return _mm256_maddubs_epi16(u, s); }
HWY_INLINE __m256i pairs_of_signed(__m256i w, __m256i magnitude, __m256i s) {
  return _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(s, w));
}
HWY_INLINE __m256i widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

/// Holds a sum in its register. GCC reorders additions of integers: where a loop over products is unrolled, it computes all products first, stores them and
/// adds afterwards, which takes twice the time.
HWY_INLINE void keep(__m256i& sum) { asm("" : "+x"(sum)); }

#endif

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
