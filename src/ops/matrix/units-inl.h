// Units of weights in int8 products: 128 columns (four blocks) of some rows that lie far apart, as exact integer dots of whole blocks with their scales beside
// them. For the instruction set that Highway compiles for at the moment.
#if defined(DSV4_OPS_MATRIX_UNITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_UNITS_INL_H_
#undef DSV4_OPS_MATRIX_UNITS_INL_H_
#else
#define DSV4_OPS_MATRIX_UNITS_INL_H_
#endif

#include "ops/matrix/codes-inl.h"
#include "ops/matrix/dots-inl.h"
#include "ops/matrix/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_AVX512 || DSV4_AVX2

enum class UnitCodes { kNibbles, kTableNibbles, kBytes };

constexpr int64_t kUnitColumns = kSumLanes * kActivationBlock;
template <UnitCodes kCodes>
constexpr int64_t kUnitBytes = kCodes == UnitCodes::kBytes ? kUnitColumns : kUnitColumns / 2;

#endif

#if DSV4_VNNI

constexpr int kFarRows = 4;             // multiplied at once
constexpr int64_t kGroupsAtOnce = 16;   // whose scales are converted at once
constexpr int64_t kFarPrefetch = 1024;  // bytes ahead of each stream

/// A number for each of four blocks or groups of each of kFarRows rows: lane 4 * block + row.
using Quads = __m512;
constexpr int64_t kQuadLanes = 16;

/// Where the number of a block or group of a row lies among quads one after another.
constexpr int64_t quad_lane(int64_t block, int row) { return 4 * block + row; }

HWY_INLINE Quads no_quads() { return _mm512_setzero_ps(); }
HWY_INLINE Quads load_quads(const float* from) { return _mm512_loadu_ps(from); }
HWY_INLINE Quads multiply_quads(Quads a, Quads b) { return _mm512_mul_ps(a, b); }
HWY_INLINE Quads subtract_quads(Quads a, Quads b) { return _mm512_sub_ps(a, b); }
HWY_INLINE Quads multiply_add_quads(Quads a, Quads b, Quads c) { return _mm512_fmadd_ps(a, b, c); }

/// The same four numbers for every row; of n numbers, zeros after them.
HWY_INLINE Quads quads_of_all_rows(const float* from, int64_t n) {
  const __m128 four = n >= 4 ? _mm_loadu_ps(from) : _mm_maskz_loadu_ps(static_cast<__mmask8>((1 << n) - 1), from);
  return _mm512_permutexvar_ps(_mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0), _mm512_castps128_ps512(four));
}

/// The sums over blocks of each row.
HWY_INLINE void sum_quads(Quads v, float (&rows)[kFarRows]) {
  const __m128 first = _mm_add_ps(_mm512_castps512_ps128(v), _mm512_extractf32x4_ps(v, 1));
  _mm_storeu_ps(rows, _mm_add_ps(first, _mm_add_ps(_mm512_extractf32x4_ps(v, 2), _mm512_extractf32x4_ps(v, 3))));
}

/// Whether the functions below take n groups at once: rows of 1,024 columns have eight of 128.
HWY_INLINE bool takes_groups(int64_t n) { return n == kGroupsAtOnce || n == kGroupsAtOnce / 2; }

/// The scales of n groups from `at` on, counted as load_scales does; zeros after them.
HWY_INLINE __m512 scales_of_groups(const PackedMatrix& m, int64_t at, int64_t n) {
  const auto lanes = static_cast<__mmask16>(0xFFFFu >> (kGroupsAtOnce - n));
  if (m.type != NumberFormat::kF4E2M1) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, m.scales + 2 * at));
  const __m512i e = _mm512_maskz_cvtepu8_epi32(lanes, _mm_maskz_loadu_epi8(lanes, m.scales + at));
  // 2^-127 is a subnormal number, 255 is NaN.
  const __m512i bits = _mm512_max_epi32(_mm512_slli_epi32(e, 23), _mm512_set1_epi32(0x00400000));
  return _mm512_castsi512_ps(
      _mm512_mask_mov_epi32(bits, _mm512_cmpeq_epi32_mask(e, _mm512_set1_epi32(255)), _mm512_set1_epi32(0x7FC00000)));
}

HWY_INLINE __m512 zero_points_of_groups(const PackedMatrix& m, int64_t at, int64_t n) {
  const int64_t first = m.first_zero_point + at;
  const auto* bytes = reinterpret_cast<const uint8_t*>(m.zero_points);
  if (m.type == NumberFormat::kU8) {
    const auto lanes = static_cast<__mmask16>(0xFFFFu >> (kGroupsAtOnce - n));
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, bytes + first)));
  }
  uint64_t packed = 0;
  if (n == kGroupsAtOnce) {
    std::memcpy(&packed, bytes + first / 2, sizeof packed);
  } else {
    std::memcpy(&packed, bytes + first / 2, sizeof packed / 2);
  }
  if (first % 2 != 0) packed = packed >> 4 | static_cast<uint64_t>(bytes[(first + n) / 2]) << (4 * n - 4);
  if (n < kGroupsAtOnce) packed &= 0xFFFFFFFFu;
  const __m128i even = _mm_cvtsi64_si128(static_cast<int64_t>(packed & 0x0F0F0F0F0F0F0F0Fu));
  const __m128i odd = _mm_cvtsi64_si128(static_cast<int64_t>(packed >> 4 & 0x0F0F0F0F0F0F0F0Fu));
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_unpacklo_epi8(even, odd)));
}

using RowGroups = __m512;  // numbers of kGroupsAtOnce groups of one row

HWY_INLINE RowGroups times(RowGroups a, RowGroups b) { return _mm512_mul_ps(a, b); }
HWY_INLINE RowGroups plus(RowGroups a, float b) { return _mm512_add_ps(a, _mm512_set1_ps(b)); }

/// Numbers of groups of each row as quads of four groups, one quad after another.
HWY_INLINE void store_as_quads(const RowGroups (&rows)[kFarRows], float* quads) {
  const __m512 lo01 = _mm512_unpacklo_ps(rows[0], rows[1]), hi01 = _mm512_unpackhi_ps(rows[0], rows[1]);
  const __m512 lo23 = _mm512_unpacklo_ps(rows[2], rows[3]), hi23 = _mm512_unpackhi_ps(rows[2], rows[3]);
  const auto low = [](__m512 a, __m512 b)
                       HWY_ATTR { return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); };
  const auto high = [](__m512 a, __m512 b)
                        HWY_ATTR { return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))); };
  // g_i: in its part p the four rows' numbers of group 4p + i.
  const __m512 g0 = low(lo01, lo23), g1 = high(lo01, lo23), g2 = low(hi01, hi23), g3 = high(hi01, hi23);
  const __m512 a = _mm512_shuffle_f32x4(g0, g1, 0x44), b = _mm512_shuffle_f32x4(g2, g3, 0x44);
  const __m512 c = _mm512_shuffle_f32x4(g0, g1, 0xEE), d = _mm512_shuffle_f32x4(g2, g3, 0xEE);
  _mm512_store_ps(quads, _mm512_shuffle_f32x4(a, b, 0x88));
  _mm512_store_ps(quads + 16, _mm512_shuffle_f32x4(a, b, 0xDD));
  _mm512_store_ps(quads + 32, _mm512_shuffle_f32x4(c, d, 0x88));
  _mm512_store_ps(quads + 48, _mm512_shuffle_f32x4(c, d, 0xDD));
}

/// Of quads of groups: group i for all four blocks of a unit; groups i and i + 1 for two blocks each.
HWY_INLINE Quads one_group(const float* quads, int64_t i) { return _mm512_broadcast_f32x4(_mm_load_ps(quads + 4 * i)); }
HWY_INLINE Quads two_groups(const float* quads, int64_t i) {
  const __m512i from = _mm512_set_epi32(7, 6, 5, 4, 7, 6, 5, 4, 3, 2, 1, 0, 3, 2, 1, 0);
  return _mm512_permutexvar_ps(from, _mm512_castps256_ps512(_mm256_load_ps(quads + 4 * i)));
}

/// Lane 4 * i + r: the sum of part i of rows[r].
HWY_INLINE __m512i sums_of_parts(const __m512i (&rows)[kFarRows]) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[0], rows[1]));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(rows[2], rows[3]), _mm512_unpackhi_epi32(rows[2], rows[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/// A unit of each row. dots(x): the products of each block with the codes x of its columns, added up.
template <UnitCodes kCodes>
class Unit {
 public:
  HWY_INLINE void load(int r, const uint8_t* from, const CodeForm& form) {
    const __m512i low = _mm512_set1_epi8(15), bytes = _mm512_loadu_si512(from);
    first_[r] = _mm512_and_si512(bytes, low);
    second_[r] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low);
    if constexpr (kCodes == UnitCodes::kTableNibbles) {
      const __m512i table = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
      first_[r] = _mm512_shuffle_epi8(table, first_[r]);
      second_[r] = _mm512_shuffle_epi8(table, second_[r]);
    }
  }
  HWY_INLINE Quads dots(const int8_t* x) const {
    __m512i sums[kFarRows];
    for (int r = 0; r < kFarRows; ++r) sums[r] = dot4(dot4(_mm512_setzero_si512(), first_[r], x), second_[r], x + 64);
    return _mm512_cvtepi32_ps(sums_of_parts(sums));
  }

 private:
  __m512i first_[kFarRows], second_[kFarRows];  // even columns, odd columns
};

template <>
class Unit<UnitCodes::kBytes> {
 public:
  HWY_INLINE void load(int r, const uint8_t* from, const CodeForm& form) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(form.flip));
    for (int i = 0; i < 2; ++i) codes_[i][r] = _mm512_xor_si512(_mm512_loadu_si512(from + 64 * i), flip);
  }
  HWY_INLINE Quads dots(const int8_t* x) const {
    __m512i parts[2];  // of two blocks each, a block in two parts
    for (int i = 0; i < 2; ++i) {
      __m512i sums[kFarRows];
      for (int r = 0; r < kFarRows; ++r) sums[r] = dot4(_mm512_setzero_si512(), codes_[i][r], x + 64 * i);
      parts[i] = sums_of_parts(sums);
    }
    return _mm512_cvtepi32_ps(
        _mm512_add_epi32(_mm512_shuffle_i32x4(parts[0], parts[1], 0x88), _mm512_shuffle_i32x4(parts[0], parts[1], 0xDD)));
  }

 private:
  __m512i codes_[2][kFarRows];
};

#elif DSV4_AVX512 || DSV4_AVX2

HWY_INLINE __m256i load_half_line(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

constexpr int kFarRows = 2;
constexpr int64_t kGroupsAtOnce = 8;
constexpr int64_t kFarPrefetch = 1024;

/// A number for each of four blocks or groups of both rows: lanes of row 0: blocks 0, 2, of row 1: 0, 2, of row 0: 1, 3, of row 1: 1, 3.
using Quads = __m256;
constexpr int64_t kQuadLanes = 8;

constexpr int64_t quad_lane(int64_t block, int row) { return block / 4 * 8 + block % 2 * 4 + row * 2 + block / 2 % 2; }

HWY_INLINE Quads no_quads() { return _mm256_setzero_ps(); }
HWY_INLINE Quads load_quads(const float* from) { return _mm256_loadu_ps(from); }
HWY_INLINE Quads multiply_quads(Quads a, Quads b) { return _mm256_mul_ps(a, b); }
HWY_INLINE Quads subtract_quads(Quads a, Quads b) { return _mm256_sub_ps(a, b); }
HWY_INLINE Quads multiply_add_quads(Quads a, Quads b, Quads c) { return _mm256_fmadd_ps(a, b, c); }

HWY_INLINE Quads quads_of_all_rows(const float* from, int64_t n) {
  const __m128i lanes = _mm_setr_epi32(0, 1, 2, 3);
  const __m128 four = n >= 4 ? _mm_loadu_ps(from) : _mm_maskload_ps(from, _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int32_t>(n)), lanes));
  return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(four), _mm256_setr_epi32(0, 2, 0, 2, 1, 3, 1, 3));
}

HWY_INLINE void sum_quads(Quads v, float (&rows)[kFarRows]) {
  const __m128 halves = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 sums = _mm_add_ps(halves, _mm_movehdup_ps(halves));
  rows[0] = _mm_cvtss_f32(sums);
  rows[1] = _mm_cvtss_f32(_mm_movehl_ps(sums, sums));
}

HWY_INLINE bool takes_groups(int64_t n) { return n == kGroupsAtOnce; }

HWY_INLINE __m256 scales_of_groups(const PackedMatrix& m, int64_t at, int64_t) {
  if (m.type != NumberFormat::kF4E2M1) return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(m.scales + 2 * at)));
  const __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(m.scales + at)));
  const __m256i bits = _mm256_max_epi32(_mm256_slli_epi32(e, 23), _mm256_set1_epi32(0x00400000));
  const __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi32(e, _mm256_set1_epi32(255)), _mm256_set1_epi32(0x7FC00000));
  return _mm256_castsi256_ps(_mm256_or_si256(bits, nan));
}

HWY_INLINE __m256 zero_points_of_groups(const PackedMatrix& m, int64_t at, int64_t) {
  const int64_t first = m.first_zero_point + at;
  const auto* bytes = reinterpret_cast<const uint8_t*>(m.zero_points);
  if (m.type == NumberFormat::kU8) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + first))));
  }
  uint32_t packed;
  std::memcpy(&packed, bytes + first / 2, sizeof packed);
  if (first % 2 != 0) packed = packed >> 4 | static_cast<uint32_t>(bytes[first / 2 + 4]) << 28;
  const __m256i shifted =
      _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(packed)), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  return _mm256_cvtepi32_ps(_mm256_and_si256(shifted, _mm256_set1_epi32(15)));
}

using RowGroups = __m256;

HWY_INLINE RowGroups times(RowGroups a, RowGroups b) { return _mm256_mul_ps(a, b); }
HWY_INLINE RowGroups plus(RowGroups a, float b) { return _mm256_add_ps(a, _mm256_set1_ps(b)); }

HWY_INLINE void store_as_quads(const RowGroups (&rows)[kFarRows], float* quads) {
  const __m256 even = _mm256_shuffle_ps(rows[0], rows[1], 0x88), odd = _mm256_shuffle_ps(rows[0], rows[1], 0xDD);
  _mm256_store_ps(quads, _mm256_permute2f128_ps(even, odd, 0x20));
  _mm256_store_ps(quads + 8, _mm256_permute2f128_ps(even, odd, 0x31));
}

HWY_INLINE Quads one_group(const float* quads, int64_t i) {
  alignas(32) static constexpr int32_t kFrom[4][8] = {
      {0, 0, 2, 2, 0, 0, 2, 2}, {4, 4, 6, 6, 4, 4, 6, 6}, {1, 1, 3, 3, 1, 1, 3, 3}, {5, 5, 7, 7, 5, 5, 7, 7}};
  const __m256i from = _mm256_load_si256(reinterpret_cast<const __m256i*>(kFrom[i % 4]));
  return _mm256_permutevar8x32_ps(_mm256_load_ps(quads + i / 4 * 8), from);
}
HWY_INLINE Quads two_groups(const float* quads, int64_t i) {
  const __m256i from = i % 4 == 0 ? _mm256_setr_epi32(0, 4, 2, 6, 0, 4, 2, 6) : _mm256_setr_epi32(1, 5, 3, 7, 1, 5, 3, 7);
  return _mm256_permutevar8x32_ps(_mm256_load_ps(quads + i / 4 * 8), from);
}

template <UnitCodes kCodes>
class Unit {
 public:
  HWY_INLINE void load(int r, const uint8_t* from, const CodeForm& form) {
    const __m256i low = _mm256_set1_epi8(15);
    for (int i = 0; i < 2; ++i) {
      const __m256i bytes = load_half_line(from + 32 * i);
      even_[r][i] = _mm256_and_si256(bytes, low);
      odd_[r][i] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
      if constexpr (kCodes == UnitCodes::kTableNibbles) {
        const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)));
        even_[r][i] = _mm256_shuffle_epi8(table, even_[r][i]);
        odd_[r][i] = _mm256_shuffle_epi8(table, odd_[r][i]);
      }
    }
  }
  HWY_INLINE Quads dots(const int8_t* x) const {
    __m256i sums[kFarRows];
    for (int r = 0; r < kFarRows; ++r) {
      __m256i pairs[2];  // sums of four products, at most 4 * 24 * 127; of eight they fit too
      for (int i = 0; i < 2; ++i) {
        pairs[i] =
            _mm256_add_epi16(pairs_of(even_[r][i], load_half_line(x + 32 * i)), pairs_of(odd_[r][i], load_half_line(x + 64 + 32 * i)));
      }
      sums[r] = widen(_mm256_hadd_epi16(pairs[0], pairs[1]));  // blocks 0, 0, 2, 2, then 1, 1, 3, 3
    }
    return _mm256_cvtepi32_ps(_mm256_hadd_epi32(sums[0], sums[1]));
  }

 private:
  __m256i even_[kFarRows][2], odd_[kFarRows][2];
};

template <>
class Unit<UnitCodes::kBytes> {
 public:
  HWY_INLINE void load(int r, const uint8_t* from, const CodeForm& form) {
    from_[r] = from;
    flip_ = _mm256_set1_epi8(static_cast<char>(form.flip));
  }
  HWY_INLINE Quads dots(const int8_t* x) const {
    __m256i halves[2];  // blocks 0 and 2, then 1 and 3, each in two parts
    for (int i = 0; i < 2; ++i) {
      __m256i sums[kFarRows];
      for (int r = 0; r < kFarRows; ++r) sums[r] = _mm256_hadd_epi32(block(r, i, x), block(r, i + 2, x));
      halves[i] = _mm256_hadd_epi32(sums[0], sums[1]);
    }
    return _mm256_cvtepi32_ps(
        _mm256_add_epi32(_mm256_permute2x128_si256(halves[0], halves[1], 0x20), _mm256_permute2x128_si256(halves[0], halves[1], 0x31)));
  }

 private:
  HWY_INLINE __m256i block(int r, int b, const int8_t* x) const {
    const __m256i codes = _mm256_xor_si256(load_half_line(from_[r] + 32 * b), flip_);
    return widen(pairs_of_signed(codes, _mm256_abs_epi8(codes), load_half_line(x + 32 * b)));
  }

  const uint8_t* from_[kFarRows];
  __m256i flip_;
};

#endif

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
