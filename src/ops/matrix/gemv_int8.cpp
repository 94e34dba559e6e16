// Compressed rows times a few tokens in int8: what decoding consists of. Weights are read once, in order.
#include <array>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemv_int8.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/dots-inl.h"
#include "ops/matrix/far_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

#if DSV4_VNNI

using Sums = __m512;

/// The sums of the lanes of each of four.
HWY_INLINE void totals(const Sums (&s)[4], float* out) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(s[0], s[1]), _mm512_unpackhi_ps(s[0], s[1]));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(s[2], s[3]), _mm512_unpackhi_ps(s[2], s[3]));
  const __m512d ab_d = _mm512_castps_pd(ab), cd_d = _mm512_castps_pd(cd);
  const __m512 quads = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab_d, cd_d)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab_d, cd_d)));
  const __m256 pairs = _mm256_add_ps(_mm512_castps512_ps256(quads), _mm512_extractf32x8_ps(quads, 1));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
}

// The sum over the blocks of a row of factor * dot of the block, spread over the lanes. `even`, `odd`: the activation codes of these columns.

template <bool kTable>
HWY_INLINE Sums dot_four_bits(const CodeForm& form, const uint8_t* w, const int8_t* even, const int8_t* odd, const float* factors,
                              int64_t blocks) {
  const __m512i low = _mm512_set1_epi8(15);
  const __m512i table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
  const __m512i lane_to_block = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  const auto dots = [&](__m512i bytes, auto e, auto o) HWY_ATTR {
    __m512i first = _mm512_and_si512(bytes, low), second = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low);
    if constexpr (kTable) {
      first = _mm512_shuffle_epi8(table, first);
      second = _mm512_shuffle_epi8(table, second);
    }
    return _mm512_cvtepi32_ps(dot4(dot4(_mm512_setzero_si512(), first, e), second, o));
  };
  const auto spread = [&](__m128 of_blocks) HWY_ATTR { return _mm512_permutexvar_ps(lane_to_block, _mm512_castps128_ps512(of_blocks)); };
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  int64_t b = 0;
  for (; b + 8 <= blocks; b += 8) {
    const int64_t i = b * 16;
    prefetch_ahead(w + i);
    prefetch_ahead(w + i + 64);
    sum0 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i), even + i, odd + i), spread(_mm_loadu_ps(factors + b)), sum0);
    sum1 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i + 64), even + i + 64, odd + i + 64), spread(_mm_loadu_ps(factors + b + 4)), sum1);
  }
  if (b + 4 <= blocks) {
    const int64_t i = b * 16;
    sum0 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i), even + i, odd + i), spread(_mm_loadu_ps(factors + b)), sum0);
    b += 4;
  }
  if (b < blocks) {
    const int64_t i = b * 16, n = blocks - b;
    const __mmask64 bytes = ~uint64_t{0} >> (64 - 16 * n);
    const __m128 of_blocks = _mm_maskz_loadu_ps(static_cast<__mmask8>((1 << n) - 1), factors + b);
    sum0 = _mm512_fmadd_ps(
        dots(_mm512_maskz_loadu_epi8(bytes, w + i), _mm512_maskz_loadu_epi8(bytes, even + i), _mm512_maskz_loadu_epi8(bytes, odd + i)),
        spread(of_blocks), sum0);
  }
  return _mm512_add_ps(sum0, sum1);
}

HWY_INLINE Sums dot_eight_bits(const CodeForm& form, const uint8_t* w, const int8_t* x, const float* factors, int64_t blocks) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(form.flip));
  const auto dots = [&](__m512i bytes, auto codes)
                        HWY_ATTR { return _mm512_cvtepi32_ps(dot4(_mm512_setzero_si512(), _mm512_xor_si512(bytes, flip), codes)); };
  const __m512i lane_to_block = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const auto spread = [&](__m128 of_blocks) HWY_ATTR { return _mm512_permutexvar_ps(lane_to_block, _mm512_castps128_ps512(of_blocks)); };
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  int64_t b = 0;
  for (; b + 4 <= blocks; b += 4) {
    const int64_t i = b * 32;
    prefetch_ahead(w + i);
    prefetch_ahead(w + i + 64);
    const __m128 of_blocks = _mm_loadu_ps(factors + b);
    sum0 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i), x + i), spread(of_blocks), sum0);
    sum1 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i + 64), x + i + 64), spread(_mm_movehl_ps(of_blocks, of_blocks)), sum1);
  }
  if (b + 2 <= blocks) {
    const int64_t i = b * 32;
    sum0 = _mm512_fmadd_ps(dots(_mm512_loadu_si512(w + i), x + i), spread(_mm_maskz_loadu_ps(3, factors + b)), sum0);
    b += 2;
  }
  if (b < blocks) {
    const int64_t i = b * 32;
    const __mmask64 bytes = ~uint64_t{0} >> 32;
    const __m128 of_blocks = _mm_load_ss(factors + b);
    sum0 = _mm512_fmadd_ps(dots(_mm512_maskz_loadu_epi8(bytes, w + i), _mm512_maskz_loadu_epi8(bytes, x + i)), spread(of_blocks), sum0);
  }
  return _mm512_add_ps(sum0, sum1);
}

#elif DSV4_AVX512 || DSV4_AVX2

HWY_INLINE __m256i load_bytes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
HWY_INLINE __m256i load_half(const void* from) { return _mm256_zextsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(from))); }
using Sums = __m256;

/// The sums of the lanes of each of four.
HWY_INLINE void totals(const Sums (&s)[4], float* out) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(s[0], s[1]), _mm256_unpackhi_ps(s[0], s[1]));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(s[2], s[3]), _mm256_unpackhi_ps(s[2], s[3]));
  const __m256d ab_d = _mm256_castps_pd(ab), cd_d = _mm256_castps_pd(cd);
  const __m256 quads = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab_d, cd_d)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab_d, cd_d)));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(quads), _mm256_extractf128_ps(quads, 1)));
}

template <bool kTable>
HWY_INLINE Sums dot_four_bits(const CodeForm& form, const uint8_t* w, const int8_t* even, const int8_t* odd, const float* factors,
                              int64_t blocks) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
  const __m256i lane_to_block = _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0);
  const auto dots = [&](__m256i bytes, __m256i e, __m256i o) HWY_ATTR {
    __m256i first = _mm256_and_si256(bytes, low), second = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
    if constexpr (kTable) {
      first = _mm256_shuffle_epi8(table, first);
      second = _mm256_shuffle_epi8(table, second);
    }
    return _mm256_cvtepi32_ps(widen(_mm256_add_epi16(pairs_of(first, e), pairs_of(second, o))));
  };
  const auto spread = [&](double two_floats)
                          HWY_ATTR { return _mm256_permutevar8x32_ps(_mm256_castpd_ps(_mm256_set1_pd(two_floats)), lane_to_block); };
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  double two;
  int64_t b = 0;
  for (; b + 4 <= blocks; b += 4) {
    const int64_t i = b * 16;
    prefetch_ahead(w + i);
    std::memcpy(&two, factors + b, sizeof two);
    sum0 = _mm256_fmadd_ps(dots(load_bytes(w + i), load_bytes(even + i), load_bytes(odd + i)), spread(two), sum0);
    std::memcpy(&two, factors + b + 2, sizeof two);
    sum1 = _mm256_fmadd_ps(dots(load_bytes(w + i + 32), load_bytes(even + i + 32), load_bytes(odd + i + 32)), spread(two), sum1);
  }
  if (b + 2 <= blocks) {
    const int64_t i = b * 16;
    std::memcpy(&two, factors + b, sizeof two);
    sum0 = _mm256_fmadd_ps(dots(load_bytes(w + i), load_bytes(even + i), load_bytes(odd + i)), spread(two), sum0);
    b += 2;
  }
  if (b < blocks) {
    const int64_t i = b * 16;  // the upper half has activations of zero
    sum1 = _mm256_fmadd_ps(dots(load_half(w + i), load_half(even + i), load_half(odd + i)), _mm256_set1_ps(factors[b]), sum1);
  }
  return _mm256_add_ps(sum0, sum1);
}

HWY_INLINE Sums dot_eight_bits(const CodeForm& form, const uint8_t* w, const int8_t* x, const float* factors, int64_t blocks) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(form.flip));
  const auto dots = [&](int64_t i) HWY_ATTR {
    const __m256i codes = _mm256_xor_si256(load_bytes(w + i), flip);
    return _mm256_cvtepi32_ps(widen(pairs_of_signed(codes, _mm256_abs_epi8(codes), load_bytes(x + i))));
  };
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  int64_t b = 0;
  for (; b + 2 <= blocks; b += 2) {
    prefetch_ahead(w + b * 32);
    sum0 = _mm256_fmadd_ps(dots(b * 32), _mm256_broadcast_ss(factors + b), sum0);
    sum1 = _mm256_fmadd_ps(dots(b * 32 + 32), _mm256_broadcast_ss(factors + b + 1), sum1);
  }
  if (b < blocks) sum0 = _mm256_fmadd_ps(dots(b * 32), _mm256_broadcast_ss(factors + b), sum0);
  return _mm256_add_ps(sum0, sum1);
}

#else

using Sums = float;

HWY_INLINE void totals(const Sums (&s)[4], float* out) { std::copy_n(s, 4, out); }

template <bool kTable>
HWY_INLINE Sums dot_four_bits(const CodeForm& form, const uint8_t* w, const int8_t* even, const int8_t* odd, const float* factors,
                              int64_t blocks) {
  float sum = 0.0f;
  for (int64_t b = 0; b < blocks; ++b) {
    int32_t dot = 0;
    for (int64_t i = b * 16; i < b * 16 + 16; ++i) {
      const int first = kTable ? form.table[w[i] & 15] : w[i] & 15, second = kTable ? form.table[w[i] >> 4] : w[i] >> 4;
      dot += first * even[i] + second * odd[i];
    }
    sum += factors[b] * static_cast<float>(dot);
  }
  return sum;
}

HWY_INLINE Sums dot_eight_bits(const CodeForm& form, const uint8_t* w, const int8_t* x, const float* factors, int64_t blocks) {
  float sum = 0.0f;
  for (int64_t b = 0; b < blocks; ++b) {
    int32_t dot = 0;
    for (int64_t i = b * 32; i < b * 32 + 32; ++i) dot += (w[i] ^ form.flip) * x[i];
    sum += factors[b] * static_cast<float>(dot);
  }
  return sum;
}

#endif

/// out[b] = of_blocks[b] * of_groups[b / per_group], b < blocks. All three have room for kLanes more floats.
HWY_INLINE void multiply_by_group(const float* of_blocks, const float* of_groups, int64_t per_group, int64_t blocks, float* out) {
#if DSV4_AVX512 || DSV4_AVX2
  if ((per_group & (per_group - 1)) == 0) {
    const int shift = __builtin_ctzll(static_cast<unsigned long long>(per_group));
#if DSV4_AVX512
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i from = _mm512_srl_epi32(lanes, _mm_cvtsi32_si128(shift));
    const auto groups_at = [&](int64_t b) HWY_ATTR { return _mm512_permutexvar_ps(from, _mm512_loadu_ps(of_groups + (b >> shift))); };
#else
    const __m256i from = _mm256_srl_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm_cvtsi32_si128(shift));
    const auto groups_at = [&](int64_t b) HWY_ATTR { return _mm256_permutevar8x32_ps(_mm256_loadu_ps(of_groups + (b >> shift)), from); };
#endif
    for (int64_t b = 0; b < blocks; b += kLanes) store(out + b, mul(load(of_blocks + b), groups_at(b)));
    return;
  }
#endif
  for (int64_t g = 0, b = 0; b < blocks; ++g) {
    for (const int64_t end = std::min(blocks, b + per_group); b < end; ++b) out[b] = of_blocks[b] * of_groups[g];
  }
}

/// sum of a[i] * b[i] * c[i], i < n, or without a.
template <bool kThree>
HWY_INLINE float sum_of_products([[maybe_unused]] const float* a, const float* b, const float* c, int64_t n) {
  float sum = 0.0f;
  int64_t i = 0;
  if (n >= kLanes) {
    Floats sums = zeros();
    for (; i + kLanes <= n; i += kLanes) {
      if constexpr (kThree) {
        sums = multiply_add(mul(load(a + i), load(b + i)), load(c + i), sums);
      } else {
        sums = multiply_add(load(b + i), load(c + i), sums);
      }
    }
    sum = sum_of_lanes(sums);
  }
  for (; i < n; ++i) sum += kThree ? a[i] * b[i] * c[i] : b[i] * c[i];
  return sum;
}

constexpr int64_t kFactors = 512;  // scales that are converted, and blocks that are multiplied with them, at once

/// `dot(r, x_row, block, factors, n)`: the integer products of n blocks of a row from `block` on, each times its factor, added up.
template <class Dot>
HWY_INLINE void multiply_rows(const Product& p, const float* group_sums, int64_t begin, int64_t end, const CodeForm& form, const Dot& dot) {
  const PackedMatrix& m = p.matrix;
  const int64_t per_group = std::max<int64_t>(1, m.group / kActivationBlock), groups = std::max<int64_t>(1, m.groups()),
                blocks = p.x.blocks();
  alignas(64) float scales[kFactors + kLanes];
  alignas(64) float zero_points[kFactors];
  alignas(64) float factors[kFactors + kLanes];
  // Short rows: the scales of many at once. Long ones: some groups after another.
  const int64_t groups_at_once = std::min(groups, std::max<int64_t>(1, kFactors / per_group));
  const int64_t rows_at_once = groups_at_once < groups ? 1 : kFactors / groups;
  for (int64_t row = begin; row < end; row += rows_at_once) {
    const int64_t row_end = std::min(end, row + rows_at_once);
    for (int64_t g = 0; g < groups; g += groups_at_once) {
      const int64_t n = std::min(groups_at_once, groups - g);
      const int64_t count = n * (row_end - row);
      load_scales(m, row * groups + g, count, scales);
      store(scales + count, zeros());  // multiplied too, and not to be slow: no chance bits
      if (m.zero_points) {
        load_zero_points(m, row * groups + g, count, zero_points);
        for (int64_t i = 0; form.offset != 0.0f && i < count; ++i) zero_points[i] += form.offset;
      }
      for (int64_t r = row; r < row_end; r += 4) {
        const int64_t rows = std::min<int64_t>(4, row_end - r);
        for (int64_t t = 0; t < p.x.tokens; ++t) {
          const int64_t x_row = p.x.row_of(t);
          const float* of_blocks = p.x.scales + x_row * blocks + g * per_group;
          Sums products[4] = {};
          for (int64_t i = 0; i < rows; ++i) {
            if (n == 1) {
              products[i] = dot(r + i, x_row, g * per_group, of_blocks, per_group);
            } else {
              multiply_by_group(of_blocks, scales + (r + i - row) * groups, per_group, n * per_group, factors);
              products[i] = dot(r + i, x_row, g * per_group, factors, n * per_group);
            }
          }
          float sums[4];
          totals(products, sums);
          for (int64_t i = 0; i < rows; ++i) {
            const float* of_groups = scales + (r + i - row) * groups;
            const float* of_sums = group_sums + t * groups + g;
            float result = n == 1 ? of_groups[0] * sums[i] : sums[i];
            if (m.zero_points) {
              result -= sum_of_products<true>(zero_points + (r + i - row) * groups, of_groups, of_sums, n);
            } else if (form.offset != 0.0f) {
              result -= form.offset * sum_of_products<false>(nullptr, of_groups, of_sums, n);
            }
            float& y = p.y[t * p.y_stride + r + i];
            y = g == 0 ? result * form.factor : y + result * form.factor;
          }
        }
      }
    }
  }
}

void GemvInt8(const Product& p, const float* group_sums, [[maybe_unused]] const std::byte* records, int64_t begin, int64_t end) {
  const PackedMatrix& m = p.matrix;
  const CodeForm form = code_form(m.type);
  const int64_t row_bytes = m.row_bytes(), blocks = p.x.blocks();
  const auto* codes = reinterpret_cast<const uint8_t*>(m.codes);
#if DSV4_AVX2
  if (multiplies_far(m)) {
    multiply_far(p, group_sums, records, form, begin, end);
    return;
  }
#endif
  if (is_four_bits(m.type)) {
    const auto rows = [&](auto table) HWY_ATTR {
      multiply_rows(
          p, group_sums, begin, end, form, [&](int64_t r, int64_t x_row, int64_t block, const float* factors, int64_t n) HWY_ATTR {
            const int8_t* even = p.x.planes + x_row * blocks * kActivationBlock + block * 16;
            return dot_four_bits<decltype(table)::value>(form, codes + r * row_bytes + block * 16, even, even + blocks * 16, factors, n);
          });
    };
    if (m.type == WeightType::kU4) {
      rows(std::false_type());
    } else {
      rows(std::true_type());
    }
  } else {
    multiply_rows(p, group_sums, begin, end, form, [&](int64_t r, int64_t x_row, int64_t block, const float* factors, int64_t n) HWY_ATTR {
      return dot_eight_bits(form, codes + r * row_bytes + block * 32, p.x.codes + (x_row * blocks + block) * kActivationBlock, factors, n);
    });
  }
}

int64_t RecordBytes([[maybe_unused]] const PackedMatrix& m) {
#if DSV4_AVX2
  if (multiplies_far(m)) {
    int64_t bytes = 0;
    with_far_form(m, [&](auto codes, auto) { bytes = m.row_bytes() / kLine * kRecord<decltype(codes)::value>; });
    return bytes;
  }
#endif
  return 0;
}

void MakeRecords([[maybe_unused]] const PackedMatrix& m, [[maybe_unused]] const Activations& x, [[maybe_unused]] std::byte* out) {
#if DSV4_AVX2
  with_far_form(m, [&](auto codes, auto) { make_far_records<decltype(codes)::value>(x, out); });
#endif
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(GemvInt8);
HWY_EXPORT(RecordBytes);
HWY_EXPORT(MakeRecords);

void gemv_int8(const Product& product, const float* group_sums, const std::byte* records, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(GemvInt8)(product, group_sums, records, begin, end);
}

int64_t record_bytes(const PackedMatrix& matrix) { return HWY_DYNAMIC_DISPATCH(RecordBytes)(matrix); }

void make_records(const PackedMatrix& matrix, const Activations& x, std::byte* out) { HWY_DYNAMIC_DISPATCH(MakeRecords)(matrix, x, out); }

}  // namespace dsv4::ops
#endif  // HWY_ONCE
