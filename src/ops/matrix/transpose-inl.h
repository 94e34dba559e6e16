// Transposition of small squares of 32-bit numbers, for the instruction set that Highway compiles for at the moment.
#if defined(DSV4_OPS_MATRIX_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_TRANSPOSE_INL_H_
#undef DSV4_OPS_MATRIX_TRANSPOSE_INL_H_
#else
#define DSV4_OPS_MATRIX_TRANSPOSE_INL_H_
#endif

#include "ops/matrix/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_AVX512

using Words = __m512i;

/// rows[i] lane j <-> rows[j] lane i.
HWY_INLINE void transpose(Words (&rows)[16]) {
  Words pairs[16], quads[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // quads[i + c]: in its part L column 4L + c of rows i to i + 3
    quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    const Words a = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0x44), b = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0x44);
    const Words d = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0xEE), e = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0xEE);
    rows[c] = _mm512_shuffle_i32x4(a, b, 0x88);
    rows[4 + c] = _mm512_shuffle_i32x4(a, b, 0xDD);
    rows[8 + c] = _mm512_shuffle_i32x4(d, e, 0x88);
    rows[12 + c] = _mm512_shuffle_i32x4(d, e, 0xDD);
  }
}

HWY_INLINE Words load_words(const void* from) { return _mm512_loadu_si512(from); }
HWY_INLINE void store_words(void* to, Words v) { _mm512_storeu_si512(to, v); }

#elif DSV4_AVX2

using Words = __m256i;

HWY_INLINE void transpose(Words (&rows)[8]) {
  Words pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
    quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
    quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    rows[c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x20);
    rows[4 + c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x31);
  }
}

HWY_INLINE Words load_words(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
HWY_INLINE void store_words(void* to, Words v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }

#else

using Words = uint32_t __attribute__((vector_size(16)));

HWY_INLINE void transpose(Words (&rows)[4]) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < i; ++j) {
      const uint32_t moved = rows[i][j];
      rows[i][j] = rows[j][i];
      rows[j][i] = moved;
    }
  }
}

HWY_INLINE Words load_words(const void* from) {
  Words v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
HWY_INLINE void store_words(void* to, Words v) { std::memcpy(to, &v, sizeof v); }

#endif

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
