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

HWY_INLINE CodeForm code_form(WeightType type) {
  switch (type) {
    case WeightType::kI4:
      return {{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, 0, 8.0f, 1.0f};
    case WeightType::kF4E2M1:  // twice the value, plus 12
      return {{12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0}, 0, 12.0f, 0.5f};
#if DSV4_AVX2 || HWY_TARGET == HWY_AVX3
    case WeightType::kU8:
      return {{}, 0x80, -128.0f, 1.0f};
    case WeightType::kI8:
      return {{}, 0, 0.0f, 1.0f};
#else
    case WeightType::kI8:
      return {{}, 0x80, 128.0f, 1.0f};
#endif
    default:
      return {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 0, 0.0f, 1.0f};
  }
}

/// Zero points [begin, begin + n) of a row as floats; null where there are none.
HWY_INLINE void zero_points_of_row(const PackedMatrix& m, int64_t row, int64_t begin, int64_t n, float* out) {
  const int64_t first = m.first_zero_point + row * m.groups() + begin;
  const auto* bytes = reinterpret_cast<const uint8_t*>(m.zero_points);
  if (m.type == WeightType::kU8) {
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

/// Scales [begin, begin + n) of a row.
HWY_INLINE void scales_of_row(const PackedMatrix& m, int64_t row, int64_t begin, int64_t n, float* out) {
  const int64_t first = row * m.groups() + begin;
  if (m.type == WeightType::kF4E2M1) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(m.scales + first);
    for (int64_t i = 0; i < n; ++i) {
      // 2^-127 is a subnormal number, 255 is NaN.
      const uint32_t e = bytes[i];
      const uint32_t bits = e == 0 ? 0x00400000u : e == 255 ? 0x7FC00000u : e << 23;
      std::memcpy(out + i, &bits, sizeof bits);
    }
    return;
  }
  const std::byte* halves = m.scales + 2 * first;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, load_f16(halves + 2 * i));
  for (; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, halves + 2 * i, sizeof bits);
    out[i] = f16_to_f32(bits);
  }
}

/// For integer products with groups [begin, begin + n) of a row: what dots are multiplied with, and that times the whole zero point.
HWY_INLINE void factors_of_row(const PackedMatrix& m, const CodeForm& form, int64_t row, int64_t begin, int64_t n, float* scales,
                               float* zeros_times_scales) {
  scales_of_row(m, row, begin, n, scales);
  if (form.factor != 1.0f) {
    for (int64_t i = 0; i < n; ++i) scales[i] *= form.factor;
  }
  if (m.zero_points) {
    zero_points_of_row(m, row, begin, n, zeros_times_scales);
    for (int64_t i = 0; i < n; ++i) zeros_times_scales[i] = (zeros_times_scales[i] + form.offset) * scales[i];
  } else {
    for (int64_t i = 0; i < n; ++i) zeros_times_scales[i] = form.offset * scales[i];
  }
}

/// Columns [begin, begin + n) of a row of any type as floats.
HWY_INLINE void unpack_columns(const PackedMatrix& m, int64_t row, int64_t begin, int64_t n, float* out) {
  const std::byte* codes = m.codes + row * m.row_bytes();
  int64_t i = 0;
  switch (m.type) {
    case WeightType::kF32:
      std::memcpy(out, codes + 4 * begin, static_cast<size_t>(4 * n));
      return;
    case WeightType::kF16:
      for (; i + kLanes <= n; i += kLanes) store(out + i, load_f16(codes + 2 * (begin + i)));
      for (; i < n; ++i) {
        uint16_t bits;
        std::memcpy(&bits, codes + 2 * (begin + i), sizeof bits);
        out[i] = f16_to_f32(bits);
      }
      return;
    case WeightType::kBF16:
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
  const CodeForm form = code_form(m.type);
  for (int64_t c = begin; c < begin + n;) {
    const int64_t g = c / m.group, end = std::min(begin + n, (g + 1) * m.group);
    float scale, zero_point = 0.0f;
    scales_of_row(m, row, g, 1, &scale);
    if (m.zero_points) zero_points_of_row(m, row, g, 1, &zero_point);
    float* to = out + (c - begin);
    const int64_t count = end - c;
    if (m.type == WeightType::kU8) {
      for (int64_t k = 0; k < count; ++k) to[k] = (static_cast<float>(bytes[c + k]) - zero_point) * scale;
    } else if (m.type == WeightType::kI8) {
      for (int64_t k = 0; k < count; ++k) to[k] = static_cast<float>(static_cast<int8_t>(bytes[c + k])) * scale;
    } else if (four_bits) {
      float values[16];  // exact: small integers and halves
      for (int64_t k = 0; k < 16; ++k) values[k] = ((static_cast<float>(form.table[k]) - form.offset) * form.factor - zero_point) * scale;
      int64_t k = 0;
      if (c % 2 != 0) to[k++] = values[bytes[c / 2] >> 4];
      const uint8_t* whole = bytes + (c + k) / 2;
      const int64_t pairs = (count - k) / 2;
      for (int64_t j = 0; j < pairs; ++j) {
        to[k + 2 * j] = values[whole[j] & 15];
        to[k + 2 * j + 1] = values[whole[j] >> 4];
      }
      k += 2 * pairs;
      if (k < count) to[k] = values[whole[pairs] & 15];
    }
    c = end;
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
