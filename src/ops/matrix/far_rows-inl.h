// Compressed rows times a few tokens in int8 with AVX2, at the speed of memory: two rows that lie far apart, 64 bytes of each by turns.
//
// A core reads faster in two far streams than in one, as long as it always has lines to ask for: so there are few operations beside each line, and the scales
// of eight groups are converted between the products, not those of a row before them. Measured: docs/cpu-program.md.
#if defined(DSV4_OPS_MATRIX_FAR_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#undef DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#else
#define DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#endif

#include <type_traits>

#include "ops/matrix/codes-inl.h"
#include "ops/matrix/dots-inl.h"
#include "ops/matrix/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_AVX2

enum class FarCodes { kNibbles, kTableNibbles, kBytes };

constexpr int64_t kLine = 64;                 // bytes of a row that are multiplied at once
constexpr int64_t kGroupsAtOnce = 8;          // whose scales are converted at once
constexpr int64_t kFarPrefetch = 1024;        // bytes ahead of each of the two streams
constexpr int64_t kRowsOfScalesPrefetch = 8;  // rows ahead; one line a row is too seldom for the processor to see a stream

HWY_INLINE __m256i load_line(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

/// The scales of groups [at, at + n), zeros after them.
HWY_INLINE __m256 far_scales(const PackedMatrix& m, int64_t at, int64_t n) {
  if (n < kGroupsAtOnce) {
    alignas(32) float scales[kGroupsAtOnce] = {};
    load_scales(m, at, n, scales);
    return _mm256_load_ps(scales);
  }
  if (m.type == WeightType::kF4E2M1) {
    const __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(m.scales + at)));
    // 2^-127 is a subnormal number, 255 is NaN.
    const __m256i bits = _mm256_max_epi32(_mm256_slli_epi32(e, 23), _mm256_set1_epi32(0x00400000));
    const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi32(e, _mm256_set1_epi32(255)), _mm256_set1_epi32(0x7FC00000));
    return _mm256_castsi256_ps(_mm256_or_si256(bits, nan));
  }
  return load_f16(m.scales + 2 * at);
}

/// The zero points of groups [at, at + n), zeros after them.
HWY_INLINE __m256 far_zero_points(const PackedMatrix& m, int64_t at, int64_t n) {
  if (n < kGroupsAtOnce) {
    alignas(32) float zero_points[kGroupsAtOnce] = {};
    load_zero_points(m, at, n, zero_points);
    return _mm256_load_ps(zero_points);
  }
  const int64_t first = m.first_zero_point + at;
  const auto* bytes = reinterpret_cast<const uint8_t*>(m.zero_points);
  if (m.type == WeightType::kU8) return load_bytes<WeightType::kU8>(m.zero_points + first);
  uint32_t packed;
  std::memcpy(&packed, bytes + first / 2, sizeof packed);
  if (first % 2 != 0) packed = packed >> 4 | static_cast<uint32_t>(bytes[first / 2 + 4]) << 28;
  const __m256i shifted =
      _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(packed)), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  return _mm256_cvtepi32_ps(_mm256_and_si256(shifted, _mm256_set1_epi32(15)));
}

/// The first n of eight floats, zeros after them.
HWY_INLINE __m256 load_some(const float* from, int64_t n) {
  if (n >= kGroupsAtOnce) return _mm256_loadu_ps(from);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)), lanes));
}

// The record of a token for a line: its codes as the line's lie, 64 bytes (nibbles: 64 of the even columns, then 64 of the odd ones), then for each half of the
// line eight floats, the scale of the block that each lane of its dots belongs to. The records of up to four tokens for a line lie
// together.
template <FarCodes kCodes>
constexpr int64_t kCodesOfRecord = kCodes == FarCodes::kBytes ? kLine : 2 * kLine;
template <FarCodes kCodes>
constexpr int64_t kRecord = kCodesOfRecord<kCodes> + 64;

/// 64 bytes of a row as codes: dots(i, record) are the products of half i with the codes of its columns, added up in eight lanes.
template <FarCodes kCodes>
class FarLine;

template <FarCodes kCodes>
requires(kCodes != FarCodes::kBytes) class FarLine<kCodes> {
 public:
  HWY_INLINE FarLine(const uint8_t* from, const CodeForm& form) {
    const __m256i low = _mm256_set1_epi8(15);
    for (int i = 0; i < 2; ++i) {
      const __m256i bytes = load_line(from + 32 * i);
      even_[i] = _mm256_and_si256(bytes, low);
      odd_[i] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
      if constexpr (kCodes == FarCodes::kTableNibbles) {
        const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
        even_[i] = _mm256_shuffle_epi8(table, even_[i]);
        odd_[i] = _mm256_shuffle_epi8(table, odd_[i]);
      }
    }
  }
  HWY_INLINE __m256 dots(int i, const std::byte* x) const {
    const __m256i pairs = _mm256_add_epi16(pairs_of(even_[i], load_line(x + 32 * i)), pairs_of(odd_[i], load_line(x + kLine + 32 * i)));
    return _mm256_cvtepi32_ps(widen(pairs));
  }

 private:
  __m256i even_[2], odd_[2];
};

template <>
class FarLine<FarCodes::kBytes> {
 public:
  HWY_INLINE FarLine(const uint8_t* from, const CodeForm& form) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(form.flip));
    for (int i = 0; i < 2; ++i) {
      codes_[i] = _mm256_xor_si256(load_line(from + 32 * i), flip);
      magnitudes_[i] = _mm256_abs_epi8(codes_[i]);
    }
  }
  HWY_INLINE __m256 dots(int i, const std::byte* x) const {
    return _mm256_cvtepi32_ps(widen(pairs_of_signed(codes_[i], magnitudes_[i], load_line(x + 32 * i))));
  }

 private:
  __m256i codes_[2], magnitudes_[2];
};

/// R rows, `first` and `first + apart`, for T tokens. The operations of a row and a token, and their order, depend on neither R nor T. kSmallGroups: groups
/// of 32 or 64 columns of nibbles; otherwise of whole lines.
template <FarCodes kCodes, bool kSmallGroups, int R, int T>
void multiply_far_rows(const Product& p, const float* group_sums, const std::byte* records, const CodeForm& form, int64_t first,
                       int64_t apart) {
  constexpr int64_t kColumns = kCodes == FarCodes::kBytes ? kLine : 2 * kLine;  // of a line
  const PackedMatrix& m = p.matrix;
  const int64_t groups = m.groups(), row_bytes = m.row_bytes(), lines = m.group / kColumns;  // lines: of a group
  const bool corrected = m.zero_points != nullptr || form.offset != 0.0f;
  const auto* w = reinterpret_cast<const uint8_t*>(m.codes) + first * row_bytes;
  const std::byte* x = records;
  const auto scale_of = [&](int t, int half) HWY_ATTR {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(x + t * kRecord<kCodes> + kCodesOfRecord<kCodes>) + 8 * half);
  };
  const auto load_codes = [&](int r) HWY_ATTR {
    const uint8_t* from = w + r * apart * row_bytes;
    __builtin_prefetch(from + kFarPrefetch, 0, 3);
    return FarLine<kCodes>(from, form);
  };
  __m256 sums[R][T], corrections[R][T];
#pragma GCC unroll 8
  for (int i = 0; i < R * T; ++i) sums[i / T][i % T] = corrections[i / T][i % T] = _mm256_setzero_ps();
  alignas(32) float scales[R][kGroupsAtOnce];
  for (int64_t begin = 0; begin < groups; begin += kGroupsAtOnce) {
    const int64_t n = std::min(kGroupsAtOnce, groups - begin);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      const int64_t at = (first + r * apart) * groups + begin;
      if (begin == 0) {
        const int64_t ahead = at + kRowsOfScalesPrefetch * groups;
        __builtin_prefetch(m.scales + (m.type == WeightType::kF4E2M1 ? ahead : 2 * ahead), 0, 3);
        if (m.zero_points) __builtin_prefetch(m.zero_points + (m.type == WeightType::kU8 ? ahead : ahead / 2), 0, 3);
      }
      const __m256 scale = far_scales(m, at, n);
      if (corrected) {
        __m256 zero = _mm256_set1_ps(form.offset);
        if (m.zero_points) zero = _mm256_add_ps(far_zero_points(m, at, n), zero);
        zero = _mm256_mul_ps(scale, zero);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          corrections[r][t] = _mm256_fmadd_ps(zero, load_some(group_sums + t * groups + begin, n), corrections[r][t]);
        }
      }
      _mm256_store_ps(scales[r], scale);
    }
    if constexpr (kSmallGroups) {
      // The scale of the group that each lane of a half belongs to: two groups of 32 columns, or one of 64.
      const bool halved = m.group == kActivationBlock;
      const __m256i first_half = halved ? _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1) : _mm256_setzero_si256();
      const __m256i second_half = halved ? _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3) : _mm256_set1_epi32(1);
      const int64_t step = kColumns / m.group;
      for (int64_t g = 0; g < n; g += step, w += kLine, x += T * kRecord<kCodes>) {
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
          const __m256 four = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(scales[r] + g));
          const __m256 scale[2] = {_mm256_permutevar_ps(four, first_half), _mm256_permutevar_ps(four, second_half)};
          const FarLine<kCodes> codes = load_codes(r);
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) {
            for (int half = 0; half < 2; ++half) {
              const __m256 dots = codes.dots(half, x + t * kRecord<kCodes>);
              sums[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(dots, scale_of(t, half)), scale[half], sums[r][t]);
            }
          }
        }
      }
    } else {
      for (int64_t g = 0; g < n; ++g) {
        __m256 of_group[R][T];
#pragma GCC unroll 8
        for (int i = 0; i < R * T; ++i) of_group[i / T][i % T] = _mm256_setzero_ps();
        for (int64_t line = 0; line < lines; ++line, w += kLine, x += T * kRecord<kCodes>) {
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r) {
            const FarLine<kCodes> codes = load_codes(r);
#pragma GCC unroll 4
            for (int t = 0; t < T; ++t) {
              for (int half = 0; half < 2; ++half) {
                of_group[r][t] = _mm256_fmadd_ps(codes.dots(half, x + t * kRecord<kCodes>), scale_of(t, half), of_group[r][t]);
              }
            }
          }
        }
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
          const __m256 scale = _mm256_broadcast_ss(&scales[r][g]);
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) sums[r][t] = _mm256_fmadd_ps(of_group[r][t], scale, sums[r][t]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      p.y[t * p.y_stride + first + r * apart] = sum_of_lanes(_mm256_sub_ps(sums[r][t], corrections[r][t])) * form.factor;
    }
  }
}

/// Whether multiply_far has a kernel for the matrix.
HWY_INLINE bool multiplies_far(const PackedMatrix& m) {
  if (!is_four_bits(m.type)) return m.group % kLine == 0;
  return m.cols % (2 * kLine) == 0 && (m.group == 32 || m.group == 64 || m.group % (2 * kLine) == 0);
}

/// Calls f with the kind of codes and whether the groups are small, as constants.
template <class F>
HWY_INLINE void with_far_form(const PackedMatrix& m, const F& f) {
  using Nibbles = std::integral_constant<FarCodes, FarCodes::kNibbles>;
  using TableNibbles = std::integral_constant<FarCodes, FarCodes::kTableNibbles>;
  const bool small_groups = m.group < 2 * kLine;
  if (!is_four_bits(m.type)) {
    f(std::integral_constant<FarCodes, FarCodes::kBytes>(), std::false_type());
  } else if (m.type == WeightType::kU4) {
    small_groups ? f(Nibbles(), std::true_type()) : f(Nibbles(), std::false_type());
  } else {
    small_groups ? f(TableNibbles(), std::true_type()) : f(TableNibbles(), std::false_type());
  }
}

constexpr int64_t kTokensAtOnce = 4;

template <FarCodes kCodes, bool kSmallGroups>
void multiply_far_of(const Product& p, const float* group_sums, const std::byte* records, const CodeForm& form, int64_t begin,
                     int64_t end) {
  const auto rows_of = [&](auto rows, int64_t first, int64_t apart) HWY_ATTR {
    constexpr int R = decltype(rows)::value;
    Product some = p;
    const std::byte* of_some = records;
    for (int64_t t = 0; t < p.x.tokens; t += kTokensAtOnce) {
      const int64_t tokens = std::min(kTokensAtOnce, p.x.tokens - t);
      some.y = p.y + t * p.y_stride;
      const float* sums = group_sums + t * p.matrix.groups();
      switch (tokens) {
        case 1:
          multiply_far_rows<kCodes, kSmallGroups, R, 1>(some, sums, of_some, form, first, apart);
          break;
        case 2:
          multiply_far_rows<kCodes, kSmallGroups, R, 2>(some, sums, of_some, form, first, apart);
          break;
        case 3:
          multiply_far_rows<kCodes, kSmallGroups, R, 3>(some, sums, of_some, form, first, apart);
          break;
        default:
          multiply_far_rows<kCodes, kSmallGroups, R, kTokensAtOnce>(some, sums, of_some, form, first, apart);
      }
      of_some += tokens * p.matrix.row_bytes() / kLine * kRecord<kCodes>;
    }
  };
  const int64_t run = (end - begin) / 2;
  for (int64_t k = 0; k < run; ++k) rows_of(std::integral_constant<int, 2>(), begin + k, run);
  if ((end - begin) % 2 != 0) rows_of(std::integral_constant<int, 1>(), end - 1, 0);
}

HWY_INLINE void multiply_far(const Product& p, const float* group_sums, const std::byte* records, const CodeForm& form, int64_t begin,
                             int64_t end) {
  const auto multiply = [&](auto codes, auto small_groups) HWY_ATTR {
    multiply_far_of<decltype(codes)::value, decltype(small_groups)::value>(p, group_sums, records, form, begin, end);
  };
  with_far_form(p.matrix, multiply);
}

template <FarCodes kCodes>
void make_far_records(const Activations& x, std::byte* out) {
  constexpr int64_t kBlocks = kCodes == FarCodes::kBytes ? 2 : 4;  // of a line
  const int64_t blocks = x.blocks();
  for (int64_t begin = 0; begin < x.tokens; begin += kTokensAtOnce) {
    const int64_t end = std::min(x.tokens, begin + kTokensAtOnce);
    for (int64_t b = 0; b < blocks; b += kBlocks) {
      for (int64_t t = begin; t < end; ++t, out += kRecord<kCodes>) {
        const int64_t row = x.row_of(t);
        if constexpr (kCodes == FarCodes::kBytes) {
          std::memcpy(out, x.codes + (row * blocks + b) * kActivationBlock, kLine);
        } else {
          const int8_t* even = x.planes + row * blocks * kActivationBlock + b * (kActivationBlock / 2);
          std::memcpy(out, even, kLine);
          std::memcpy(out + kLine, even + blocks * (kActivationBlock / 2), kLine);
        }
        float scales[16];
        for (int64_t i = 0; i < 16; ++i) scales[i] = x.scales[row * blocks + b + i * kBlocks / 16];
        std::memcpy(out + kCodesOfRecord<kCodes>, scales, sizeof scales);
      }
    }
  }
}

#endif  // DSV4_AVX2

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
