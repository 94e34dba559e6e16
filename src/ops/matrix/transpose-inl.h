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
HWY_INLINE void store_first(void* to, Words v, int64_t n) { _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1u << n) - 1), v); }

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
HWY_INLINE void store_first(void* to, Words v, int64_t n) {
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  _mm256_maskstore_epi32(static_cast<int*>(to), mask, v);
}

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
HWY_INLINE void store_first(void* to, Words v, int64_t n) { std::memcpy(to, &v, static_cast<size_t>(n) * sizeof(uint32_t)); }

#endif

/// out[c * stride + i] = line(i)[c] for i < lines, at most kLanes of them, and c < n: 32-bit numbers at any address.
template <class Line>
HWY_INLINE void interleave(const Line& line, int64_t lines, int64_t n, void* out, int64_t stride) {
  auto* to = static_cast<std::byte*>(out);
  const auto from = [&](int64_t i, int64_t c) HWY_ATTR { return reinterpret_cast<const std::byte*>(line(i)) + 4 * c; };
  int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) {
    Words square[kLanes] = {};
    for (int64_t i = 0; i < lines; ++i) square[i] = load_words(from(i, c));
    transpose(square);
    for (int64_t k = 0; k < kLanes; ++k) store_first(to + 4 * (c + k) * stride, square[k], lines);
  }
  for (; c < n; ++c) {
    for (int64_t i = 0; i < lines; ++i) std::memcpy(to + 4 * (c * stride + i), from(i, c), 4);
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
