// Weight codes as integers and their scales, for the instruction set that Highway compiles for at the moment.
#if defined(DSV4_OPS_MATRIX_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_CODES_INL_H_
#undef DSV4_OPS_MATRIX_CODES_INL_H_
#else
#define DSV4_OPS_MATRIX_CODES_INL_H_
#endif

#include "ops/matrix/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

/// How the codes of a type enter integer products: weight = (code - (zero point + offset)) * scale * factor, with code = table[nibble] or byte ^ flip. Codes are
/// unsigned, as dot-product instructions want one side, except 8-bit ones with AVX2, whose products of unsigned bytes would saturate.
struct CodeForm {
  alignas(16) uint8_t table[16];
  uint8_t flip;
  float offset;
  float factor;
};

HWY_INLINE CodeForm code_form(NumberFormat type) {
  switch (type) {
    case NumberFormat::kI4:
      return {{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, 0, 8.0f, 1.0f};
    case NumberFormat::kF4E2M1:  // twice the value, plus 12
      return {{12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0}, 0, 12.0f, 0.5f};
#if (DSV4_AVX512 && !DSV4_VNNI) || DSV4_AVX2
    case NumberFormat::kU8:
      return {{}, 0x80, -128.0f, 1.0f};
    case NumberFormat::kI8:
      return {{}, 0, 0.0f, 1.0f};
#else
    case NumberFormat::kI8:
      return {{}, 0x80, 128.0f, 1.0f};
#endif
    default:
      return {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 0, 0.0f, 1.0f};
  }
}

// Scales and zero points of all rows lie one after another: [begin, begin + n) counts groups from the first row's first on.

HWY_INLINE void load_zero_points(const PackedMatrix& m, int64_t begin, int64_t n, float* out) {
  const int64_t first = m.first_zero_point + begin;
  const auto* bytes = reinterpret_cast<const uint8_t*>(m.zero_points);
  if (m.type == NumberFormat::kU8) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(bytes[first + i]);
    return;
  }
  int64_t i = 0;
  if (first % 2 != 0) out[i++] = static_cast<float>(bytes[first / 2] >> 4);
  const uint8_t* whole = bytes + (first + i) / 2;
  const int64_t pairs = (n - i) / 2;
  for (int64_t j = 0; j < pairs; ++j) {
    out[i + 2 * j] = static_cast<float>(whole[j] & 15);
    out[i + 2 * j + 1] = static_cast<float>(whole[j] >> 4);
  }
  i += 2 * pairs;
  if (i < n) out[i] = static_cast<float>(whole[pairs] & 15);
}

HWY_INLINE void load_scales(const PackedMatrix& m, int64_t begin, int64_t n, float* out) {
  if (m.scale == NumberFormat::kF32) {
    std::memcpy(out, m.scales + 4 * begin, static_cast<size_t>(4 * n));
    return;
  }
  if (m.scale == NumberFormat::kF8E8M0) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(m.scales + begin);
    for (int64_t i = 0; i < n; ++i) {
      // 2^-127 is a subnormal number, 255 is NaN.
      const uint32_t e = bytes[i];
      const uint32_t bits = e == 0 ? 0x00400000u : e == 255 ? 0x7FC00000u : e << 23;
      std::memcpy(out + i, &bits, sizeof bits);
    }
    return;
  }
  const std::byte* halves = m.scales + 2 * begin;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, load_f16(halves + 2 * i));
  for (; i < n; ++i) out[i] = load_one_f16(halves + 2 * i);
}

/// Whether dots of codes need a correction: codes do not stand for weights with zero at zero.
HWY_INLINE bool is_corrected(const PackedMatrix& m, const CodeForm& form) { return m.zero_points != nullptr || form.offset != 0.0f; }

/// For integer products: the scales of segments [begin, begin + n) of a row, and those times the whole zero points. A segment is a group or a part of one;
/// `groups`: of a row (a division that callers do once).
HWY_INLINE void load_segment_factors(const PackedMatrix& m, const CodeForm& form, int64_t row, int64_t groups, int64_t segment,
                                     int64_t begin, int64_t n, float* scales, float* zeros) {
  const bool whole = segment == m.group;
  const int64_t step = whole ? n : 1;
  for (int64_t i = 0; i < n; i += step) {
    const int64_t at = row * groups + (whole ? begin : (begin + i) * segment / m.group);
    load_scales(m, at, step, scales + i);
    if (m.zero_points) {
      load_zero_points(m, at, step, zeros + i);
    } else {
      std::fill_n(zeros + i, step, 0.0f);
    }
  }
  for (int64_t i = 0; i < n; ++i) zeros[i] = (zeros[i] + form.offset) * scales[i];
}

/// What each nibble of a 4-bit type stands for, without scale and zero point; exact: small integers and halves.
HWY_INLINE void nibble_values(NumberFormat type, float (&values)[16]) {
  const CodeForm form = code_form(type);
  for (int64_t k = 0; k < 16; ++k) values[k] = (static_cast<float>(form.table[k]) - form.offset) * form.factor;
}

/// values[low nibble], values[high nibble] of each byte; returns `pairs`.
HWY_INLINE int64_t unpack_pairs(const uint8_t* bytes, int64_t pairs, const float (&values)[16], float* out) {
  int64_t j = 0;
#if DSV4_AVX512 || DSV4_AVX2
  for (; j + 16 <= pairs; j += 16) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + j)), low = _mm_set1_epi8(15);
    const __m128i even = _mm_and_si128(packed, low), odd = _mm_and_si128(_mm_srli_epi16(packed, 4), low);
    const __m128i halves[2] = {_mm_unpacklo_epi8(even, odd), _mm_unpackhi_epi8(even, odd)};
    for (int h = 0; h < 2; ++h) {
      float* to = out + 2 * j + 16 * h;
#if DSV4_AVX512
      _mm512_storeu_ps(to, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(halves[h]), _mm512_load_ps(values)));
#else
      const __m256i codes[2] = {_mm256_cvtepu8_epi32(halves[h]), _mm256_cvtepu8_epi32(_mm_srli_si128(halves[h], 8))};
      for (int i = 0; i < 2; ++i) {
        const __m256 below = _mm256_permutevar8x32_ps(_mm256_load_ps(values), codes[i]);
        const __m256 above = _mm256_permutevar8x32_ps(_mm256_load_ps(values + 8), codes[i]);
        const __m256 is_above = _mm256_castsi256_ps(_mm256_slli_epi32(codes[i], 28));
        _mm256_storeu_ps(to + 8 * i, _mm256_blendv_ps(below, above, is_above));
      }
#endif
    }
  }
#endif
  for (; j < pairs; ++j) {
    out[2 * j] = values[bytes[j] & 15];
    out[2 * j + 1] = values[bytes[j] >> 4];
  }
  return pairs;
}

/// FP8 codes as floats times their scale.
HWY_INLINE void unpack_f8(const std::byte* codes, int64_t n, float scale, float* out) {
  int64_t k = 0;
#if DSV4_AVX512 || DSV4_AVX2
  const Floats factor = all(scale * kF8Unit);
  for (; k + kLanes <= n; k += kLanes) store(out + k, mul(load_bytes<NumberFormat::kF8E4M3>(codes + k), factor));
#endif
  for (; k < n; ++k) out[k] = f8e4m3_to_f32(std::to_integer<uint8_t>(codes[k])) * scale;
}

/// Columns [begin, begin + n) of a row of any type as floats.
HWY_INLINE void unpack_columns(const PackedMatrix& m, int64_t row, int64_t begin, int64_t n, float* out) {
  const std::byte* codes = m.codes + row * m.row_bytes();
  int64_t i = 0;
  switch (m.type) {
    case NumberFormat::kF32:
      std::memcpy(out, codes + 4 * begin, static_cast<size_t>(4 * n));
      return;
    case NumberFormat::kF16:
      for (; i + kLanes <= n; i += kLanes) store(out + i, load_f16(codes + 2 * (begin + i)));
      for (; i < n; ++i) out[i] = load_one_f16(codes + 2 * (begin + i));
      return;
    case NumberFormat::kBF16:
      for (; i + kLanes <= n; i += kLanes) store(out + i, load_bf16(codes + 2 * (begin + i)));
      for (; i < n; ++i) {
        uint16_t bits;
        std::memcpy(&bits, codes + 2 * (begin + i), sizeof bits);
        out[i] = bf16_to_f32(bits);
      }
      return;
    default:
      break;
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(codes);
  const bool four_bits = is_four_bits(m.type);
  alignas(64) float codes_as_floats[16];
  if (four_bits) nibble_values(m.type, codes_as_floats);
  for (int64_t c = begin; c < begin + n;) {
    const int64_t g = c / m.group, end = std::min(begin + n, (g + 1) * m.group);
    float scale, zero_point = 0.0f;
    load_scales(m, m.scale_index(row) + g, 1, &scale);
    if (m.zero_points) load_zero_points(m, row * m.groups() + g, 1, &zero_point);
    float* to = out + (c - begin);
    const int64_t count = end - c;
    if (m.type == NumberFormat::kU8) {
      for (int64_t k = 0; k < count; ++k) to[k] = (static_cast<float>(bytes[c + k]) - zero_point) * scale;
    } else if (m.type == NumberFormat::kF8E4M3) {
      unpack_f8(codes + c, count, scale, to);
    } else if (m.type == NumberFormat::kI8) {
      for (int64_t k = 0; k < count; ++k) to[k] = static_cast<float>(static_cast<int8_t>(bytes[c + k])) * scale;
    } else if (four_bits) {
      alignas(64) float values[16];
      for (int64_t k = 0; k < 16; ++k) values[k] = (codes_as_floats[k] - zero_point) * scale;
      int64_t k = 0;
      if (c % 2 != 0) to[k++] = values[bytes[c / 2] >> 4];
      const uint8_t* whole = bytes + (c + k) / 2;
      k += 2 * unpack_pairs(whole, (count - k) / 2, values, to + k);
      if (k < count) to[k] = values[bytes[(c + k) / 2] & 15];
    }
    c = end;
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
