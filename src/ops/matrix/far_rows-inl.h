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

#include "ops/matrix/codes-inl.h"
#include "ops/matrix/dots-inl.h"
#include "ops/matrix/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_AVX2

enum class FarCodes { kNibbles, kTableNibbles, kBytes };

constexpr int kFarRows = 2;
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

/// 64 bytes of a row as codes: dots<i>(x) are the products of half i with the activation codes of its columns, added up in eight lanes.
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
  /// `x`: the codes of the even columns, `odd` bytes later those of the odd ones.
  HWY_INLINE __m256 dots(int i, const int8_t* x, int64_t odd) const {
    const __m256i pairs = _mm256_add_epi16(pairs_of(even_[i], load_line(x + 32 * i)), pairs_of(odd_[i], load_line(x + odd + 32 * i)));
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
  HWY_INLINE __m256 dots(int i, const int8_t* x, int64_t) const {
    return _mm256_cvtepi32_ps(widen(pairs_of_signed(codes_[i], magnitudes_[i], load_line(x + 32 * i))));
  }

 private:
  __m256i codes_[2], magnitudes_[2];
};

/// What the lanes of the dots of a line are multiplied with: `of_blocks` are one float for each block of the line, two (bytes) or four (nibbles).
template <FarCodes kCodes>
HWY_INLINE void spread_to_lanes(const float* of_blocks, __m256 (&halves)[2]) {
  if constexpr (kCodes == FarCodes::kBytes) {
    halves[0] = _mm256_broadcast_ss(of_blocks);
    halves[1] = _mm256_broadcast_ss(of_blocks + 1);
  } else {
    const __m256 four = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(of_blocks));
    halves[0] = _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
    halves[1] = _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3));
  }
}

/// Rows `first` and `first + apart` (0: one row) for tokens [token, token + T). The operations of a row and a token, and their order, depend on neither T nor
/// on the other row. kSmallGroups: groups of 32 or 64 columns of nibbles; otherwise of whole lines.
template <FarCodes kCodes, bool kSmallGroups, int T>
void multiply_far_rows(const Product& p, const float* group_sums, const CodeForm& form, int64_t first, int64_t apart, int64_t token) {
  constexpr int R = kFarRows;
  constexpr int64_t kBlocks = kCodes == FarCodes::kBytes ? 2 : 4;  // of a line
  const PackedMatrix& m = p.matrix;
  const int64_t groups = m.groups(), row_bytes = m.row_bytes(), blocks = p.x.blocks(), per_group = m.group / kActivationBlock;
  const int64_t lines = per_group / kBlocks;  // of a group, 0 with kSmallGroups
  const int64_t odd = blocks * (kActivationBlock / 2);
  const bool corrected = m.zero_points != nullptr || form.offset != 0.0f;
  const auto* w = reinterpret_cast<const uint8_t*>(m.codes) + first * row_bytes;
  const int8_t* x[T];
  const float* x_scales[T];
  for (int t = 0; t < T; ++t) {
    const int64_t x_row = p.x.row_of(token + t);
    x[t] = (kCodes == FarCodes::kBytes ? p.x.codes : p.x.planes) + x_row * blocks * kActivationBlock;
    x_scales[t] = p.x.scales + x_row * blocks;
  }
  __m256 sums[R][T], corrections[R][T];
#pragma GCC unroll 8
  for (int i = 0; i < R * T; ++i) sums[i / T][i % T] = corrections[i / T][i % T] = _mm256_setzero_ps();
  alignas(32) float scales[R][kGroupsAtOnce];
  alignas(32) float factors[R][T][2 * kGroupsAtOnce];  // kSmallGroups: of each block
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
          corrections[r][t] = _mm256_fmadd_ps(zero, load_some(group_sums + (token + t) * groups + begin, n), corrections[r][t]);
        }
      }
      if constexpr (kSmallGroups) {
        if (per_group == 1) {
          for (int t = 0; t < T; ++t) _mm256_store_ps(factors[r][t], _mm256_mul_ps(scale, _mm256_loadu_ps(x_scales[t] + begin)));
        } else {
          const __m256 below = _mm256_permutevar8x32_ps(scale, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
          const __m256 above = _mm256_permutevar8x32_ps(scale, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
          for (int t = 0; t < T; ++t) {
            _mm256_store_ps(factors[r][t], _mm256_mul_ps(below, _mm256_loadu_ps(x_scales[t] + 2 * begin)));
            _mm256_store_ps(factors[r][t] + 8, _mm256_mul_ps(above, _mm256_loadu_ps(x_scales[t] + 2 * begin + 8)));
          }
        }
      } else {
        _mm256_store_ps(scales[r], scale);
      }
    }
    if constexpr (kSmallGroups) {
      const int64_t end = n * per_group / kBlocks;
      for (int64_t line = 0; line < end; ++line, w += kLine) {
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) {
          const uint8_t* from = w + r * apart * row_bytes;
          __builtin_prefetch(from + kFarPrefetch, 0, 3);
          const FarLine<kCodes> codes(from, form);
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) {
            __m256 of_lanes[2];
            spread_to_lanes<kCodes>(factors[r][t] + line * kBlocks, of_lanes);
            sums[r][t] = _mm256_fmadd_ps(codes.dots(0, x[t], odd), of_lanes[0], sums[r][t]);
            sums[r][t] = _mm256_fmadd_ps(codes.dots(1, x[t], odd), of_lanes[1], sums[r][t]);
          }
        }
        for (int t = 0; t < T; ++t) x[t] += kLine;
      }
    } else {
      for (int64_t g = 0; g < n; ++g) {
        __m256 of_group[R][T];
#pragma GCC unroll 8
        for (int i = 0; i < R * T; ++i) of_group[i / T][i % T] = _mm256_setzero_ps();
        for (int64_t line = 0; line < lines; ++line, w += kLine) {
          __m256 of_lanes[T][2];
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) spread_to_lanes<kCodes>(x_scales[t], of_lanes[t]);
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r) {
            const uint8_t* from = w + r * apart * row_bytes;
            __builtin_prefetch(from + kFarPrefetch, 0, 3);
            const FarLine<kCodes> codes(from, form);
#pragma GCC unroll 4
            for (int t = 0; t < T; ++t) {
              of_group[r][t] = _mm256_fmadd_ps(codes.dots(0, x[t], odd), of_lanes[t][0], of_group[r][t]);
              of_group[r][t] = _mm256_fmadd_ps(codes.dots(1, x[t], odd), of_lanes[t][1], of_group[r][t]);
            }
          }
          for (int t = 0; t < T; ++t) {
            x[t] += kLine;
            x_scales[t] += kBlocks;
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
      p.y[(token + t) * p.y_stride + first + r * apart] = sum_of_lanes(_mm256_sub_ps(sums[r][t], corrections[r][t])) * form.factor;
    }
  }
}

/// Whether multiply_far has a kernel for the matrix.
HWY_INLINE bool multiplies_far(const PackedMatrix& m) {
  if (!is_four_bits(m.type)) return m.group % kLine == 0;
  return m.cols % (2 * kLine) == 0 && (m.group == 32 || m.group == 64 || m.group % (2 * kLine) == 0);
}

using FarKernel = void (*)(const Product&, const float*, const CodeForm&, int64_t, int64_t, int64_t);
constexpr int64_t kFarTokens = 4;  // of a kernel

template <FarCodes kCodes, bool kSmallGroups>
void multiply_far_of(const Product& p, const float* group_sums, const CodeForm& form, int64_t begin, int64_t end) {
  static constexpr FarKernel kKernels[kFarTokens] = {
      &multiply_far_rows<kCodes, kSmallGroups, 1>, &multiply_far_rows<kCodes, kSmallGroups, 2>, &multiply_far_rows<kCodes, kSmallGroups, 3>,
      &multiply_far_rows<kCodes, kSmallGroups, 4>};
  const int64_t run = (end - begin) / kFarRows;
  const auto rows = [&](int64_t first, int64_t apart) {
    for (int64_t t = 0; t < p.x.tokens; t += kFarTokens)
      kKernels[std::min(kFarTokens, p.x.tokens - t) - 1](p, group_sums, form, first, apart, t);
  };
  for (int64_t k = 0; k < run; ++k) rows(begin + k, run);
  if ((end - begin) % kFarRows != 0) rows(end - 1, 0);
}

HWY_INLINE void multiply_far(const Product& p, const float* group_sums, const CodeForm& form, int64_t begin, int64_t end) {
  const PackedMatrix& m = p.matrix;
  if (!is_four_bits(m.type)) {
    multiply_far_of<FarCodes::kBytes, false>(p, group_sums, form, begin, end);
  } else if (m.type == WeightType::kU4) {
    (m.group < 2 * kLine ? multiply_far_of<FarCodes::kNibbles, true> : multiply_far_of<FarCodes::kNibbles, false>)(p, group_sums, form,
                                                                                                                   begin, end);
  } else {
    (m.group < 2 * kLine ? multiply_far_of<FarCodes::kTableNibbles, true>
                         : multiply_far_of<FarCodes::kTableNibbles, false>)(p, group_sums, form, begin, end);
  }
}

#endif  // DSV4_AVX2

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
