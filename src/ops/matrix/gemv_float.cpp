// Rows of any type times a few tokens in float32: what a row holds is read and turned into floats once for all of them.
#include <type_traits>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemv_float.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/float_dots-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

constexpr int kTokensAtOnce = 4;
constexpr int64_t kLineBytes = 64;

// Rows that are multiplied at once lie far apart, a line of each by turns: far_rows-inl.h says why.
#if DSV4_AVX2
constexpr int kFarRows = 2;
#else
constexpr int kFarRows = 4;
#endif
constexpr int64_t kPrefetchAhead = 1024;

/// A function, because it is not what takes the time: every kernel below would have a copy.
HWY_NOINLINE void unpack(const PackedMatrix& m, int64_t row, int64_t begin, int64_t n, float* out) {
  unpack_columns(m, row, begin, n, out);
}

// R rows as vectors of floats. prepare(begin, n): the columns that come next, at most kFloatChunkColumns. for_each_vector(f): f(k, weights) for each whole
// vector of them, weights(r) columns begin + k to begin + k + kLanes - 1 of row r, in the order that in_order(x) puts a token's into; as_columns undoes it.

struct InColumnOrder {
  static HWY_INLINE Floats in_order(Floats x) { return x; }
  static HWY_INLINE Floats as_columns(Floats sums) { return sums; }
};

template <NumberFormat kType, int R>
class FloatRows : public InColumnOrder {
 public:
  static constexpr int kRows = R;

  FloatRows(const PackedMatrix& m, int64_t first, int64_t apart)
      : codes_(m.codes + first * m.cols * kBytes), apart_(apart * m.cols * kBytes) {}

  HWY_INLINE void prepare(int64_t begin, int64_t n) {
    from_ = codes_ + begin * kBytes;
    n_ = n;
  }

  template <class F>
  HWY_INLINE void for_each_vector(const F& f) const {
    constexpr int64_t kLine = kLineBytes / kBytes;
    const auto at = [&](int64_t k) HWY_ATTR { f(k, [&](int r) HWY_ATTR { return load_weights<kType>(from_ + r * apart_ + k * kBytes); }); };
    int64_t k = 0;
    for (; k + kLine <= n_; k += kLine) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) __builtin_prefetch(from_ + r * apart_ + k * kBytes + kPrefetchAhead, 0, 3);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kLine; i += kLanes) at(k + i);
    }
    for (; k + kLanes <= n_; k += kLanes) at(k);
  }

 private:
  static constexpr int64_t kBytes = kType == NumberFormat::kF32 ? 4 : 2;
  const std::byte* codes_;
  int64_t apart_;
  const std::byte* from_ = nullptr;
  int64_t n_ = 0;
};

/// Any type, by way of unpacked rows.
template <int R>
class UnpackedRows : public InColumnOrder {
 public:
  static constexpr int kRows = R;

  UnpackedRows(const PackedMatrix& m, int64_t first, int64_t apart) : m_(m), first_(first), apart_(apart) {}

  HWY_INLINE void prepare(int64_t begin, int64_t n) {
    for (int64_t r = 0; r < R; ++r) unpack(m_, first_ + r * apart_, begin, n, w_[r]);
    n_ = n;
  }

  template <class F>
  HWY_INLINE void for_each_vector(const F& f) const {
    for (int64_t k = 0; k + kLanes <= n_; k += kLanes) {
      f(k, [&](int r) HWY_ATTR { return load(w_[r] + k); });
    }
  }

 private:
  const PackedMatrix& m_;
  int64_t first_, apart_, n_ = 0;
  alignas(64) float w_[R][kFloatChunkColumns];
};

#if DSV4_AVX512 || DSV4_AVX2

/// Nibbles of one group as floats: what unpack_columns makes of each of the sixteen, by their places in a table.
class Nibbles {
 public:
  static constexpr size_t kCodesOfByte = 2;

#if DSV4_AVX512
  HWY_INLINE void set(const float* codes, float scale, float zero_point) { values_ = mul(sub(load(codes), all(zero_point)), all(scale)); }

  /// The lookup takes the lowest four bits of a lane. Even lanes have the first eight columns, odd ones the second eight: so each half of 64 bits is shifted to
  /// its column and no lane has to cross to another.
  HWY_INLINE Floats weights(const std::byte* from) const {
    uint64_t codes;
    std::memcpy(&codes, from, sizeof codes);
    const __m512i shifts = _mm512_set_epi32(28, 28, 24, 24, 20, 20, 16, 16, 12, 12, 8, 8, 4, 4, 0, 0);
    return permute(values_, _mm512_srlv_epi32(_mm512_set1_epi64(static_cast<int64_t>(codes)), shifts));
  }
  static HWY_INLINE Floats in_order(Floats x) { return permute(x, _mm512_set_epi32(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0)); }
  static HWY_INLINE Floats as_columns(Floats sums) {
    return permute(sums, _mm512_set_epi32(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0));
  }

 private:
  Floats values_;
#else
  HWY_INLINE void set(const float* codes, float scale, float zero_point) {
    below_ = mul(sub(load(codes), all(zero_point)), all(scale));
    above_ = mul(sub(load(codes + 8), all(zero_point)), all(scale));
  }

  HWY_INLINE Floats weights(const std::byte* from) const {
    int32_t codes;
    std::memcpy(&codes, from, sizeof codes);
    // A lookup takes the lowest three bits of a lane, the choice between both the highest.
    const __m256i at = _mm256_srlv_epi32(_mm256_set1_epi32(codes), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(below_, at), _mm256_permutevar8x32_ps(above_, at),
                            _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)));
  }
  static HWY_INLINE Floats in_order(Floats x) { return x; }
  static HWY_INLINE Floats as_columns(Floats sums) { return sums; }

 private:
  Floats below_, above_;
#endif
};

/// Bytes of one group as floats.
template <NumberFormat kType>
class Bytes : public InColumnOrder {
 public:
  static constexpr size_t kCodesOfByte = 1;

  HWY_INLINE void set(const float*, float scale, float zero_point) {
    scale_ = all(kType == NumberFormat::kF8E4M3 ? scale * kF8Unit : scale);
    zero_point_ = all(zero_point);
  }
  HWY_INLINE Floats weights(const std::byte* from) const {
    const Floats codes = load_bytes<kType>(from);
    return mul(kType == NumberFormat::kU8 ? sub(codes, zero_point_) : codes, scale_);
  }

 private:
  Floats scale_, zero_point_;
};

/// Scales and zero points of groups [group, group + n) of a row.
HWY_NOINLINE void load_groups(const PackedMatrix& m, int64_t row, int64_t group, int64_t n, float* scales, float* zero_points) {
  load_scales(m, m.scale_index(row) + group, n, scales);
  if (m.zero_points) {
    load_zero_points(m, row * m.groups() + group, n, zero_points);
  } else {
    std::fill_n(zero_points, n, 0.0f);
  }
}

/// Compressed rows whose groups are whole vectors, or are the row.
template <class Codes, int R>
class CodeRows {
 public:
  static constexpr int kRows = R;
  static HWY_INLINE Floats in_order(Floats x) { return Codes::in_order(x); }
  static HWY_INLINE Floats as_columns(Floats sums) { return Codes::as_columns(sums); }

  CodeRows(const PackedMatrix& m, int64_t first, int64_t apart) : m_(m), first_(first), apart_(apart) {
    if (is_four_bits(m.type)) nibble_values(m.type, codes_of_nibbles_);
  }

  HWY_INLINE void prepare(int64_t begin, int64_t n) {
    n_ = n;
    from_ = m_.codes + first_ * m_.row_bytes() + bytes_of(begin);
    const int64_t group = begin / m_.group, groups = (begin + n - 1) / m_.group + 1 - group;
    end_of_group_ = (group + 1) * m_.group - begin;
    for (int64_t r = 0; r < R; ++r) {
      load_groups(m_, first_ + r * apart_, group, groups, scales_[r], zero_points_[r]);
    }
  }

  template <class F>
  HWY_INLINE void for_each_vector(const F& f) const {
    constexpr int64_t kLine = kLineBytes * static_cast<int64_t>(Codes::kCodesOfByte);
    const int64_t whole = n_ / kLanes * kLanes, apart = apart_ * m_.row_bytes();
    int64_t k = 0;
    for (int64_t group = 0, end_of_group = end_of_group_; k < whole; ++group, end_of_group += m_.group) {
      Codes codes[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) codes[r].set(codes_of_nibbles_, scales_[r][group], zero_points_[r][group]);
      for (const int64_t end = std::min(whole, end_of_group); k < end;) {
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) __builtin_prefetch(from_ + r * apart + bytes_of(k) + kPrefetchAhead, 0, 3);
        for (const int64_t end_of_line = std::min(end, k + kLine); k < end_of_line; k += kLanes) {
          f(k, [&](int r) HWY_ATTR { return codes[r].weights(from_ + r * apart + bytes_of(k)); });
        }
      }
    }
  }

 private:
  static constexpr int64_t kMostGroups = kFloatChunkColumns / kLanes + 1;  // of a chunk
  static HWY_INLINE size_t bytes_of(int64_t columns) { return static_cast<size_t>(columns) / Codes::kCodesOfByte; }

  const PackedMatrix& m_;
  int64_t first_, apart_, n_ = 0, end_of_group_ = 0;
  const std::byte* from_ = nullptr;
  alignas(64) float codes_of_nibbles_[16];
  float scales_[R][kMostGroups], zero_points_[R][kMostGroups];
};

#endif  // DSV4_AVX512 || DSV4_AVX2

/// A chunk of n columns from `begin` on times T tokens from `token` on, for rows `first`, `first + apart`, ...
template <int T, class Rows>
HWY_INLINE void multiply_chunk(const Product& p, const Rows& rows, int64_t token, int64_t first, int64_t apart, int64_t begin, int64_t n) {
  const float* x[T];
  for (int t = 0; t < T; ++t) x[t] = p.x.values_of(token + t) + begin;
  DotSums<Rows::kRows, T> sums;
  rows.for_each_vector([&](int64_t k, const auto& weights)
                           HWY_ATTR { sums.add(weights, [&](int t) HWY_ATTR { return Rows::in_order(load(x[t] + k)); }); });
  sums.for_each([](Floats v) HWY_ATTR { return Rows::as_columns(v); });
  if (const int64_t left = n % kLanes; left > 0) {
    const int64_t k = n - left;
    float w[Rows::kRows][kLanes] = {};
    for (int64_t r = 0; r < Rows::kRows; ++r) unpack(p.matrix, first + r * apart, begin + k, left, w[r]);
    sums.add([&](int r) HWY_ATTR { return load(w[r]); }, [&](int t) HWY_ATTR { return load_first(x[t] + k, left); });
  }
  sums.put([&](int t) HWY_ATTR { return p.y + (token + t) * p.y_stride + first; }, Rows::kRows, apart, begin > 0);
}

template <class Rows>
void multiply_rows(const Product& p, int64_t first, int64_t apart) {
  Rows rows(p.matrix, first, apart);
  for (int64_t begin = 0; begin < p.matrix.cols; begin += kFloatChunkColumns) {
    const int64_t n = std::min(kFloatChunkColumns, p.matrix.cols - begin);
    rows.prepare(begin, n);
    for (int64_t t = 0; t < p.x.tokens; t += kTokensAtOnce) {
      switch (p.x.tokens - t) {
        case 1:
          multiply_chunk<1>(p, rows, t, first, apart, begin, n);
          break;
        case 2:
          multiply_chunk<2>(p, rows, t, first, apart, begin, n);
          break;
        case 3:
          multiply_chunk<3>(p, rows, t, first, apart, begin, n);
          break;
        default:
          multiply_chunk<kTokensAtOnce>(p, rows, t, first, apart, begin, n);
      }
    }
  }
}

/// Rows [begin, end), R runs of them at once.
template <template <int> class Rows, int R>
void multiply_runs(const Product& p, int64_t begin, int64_t end) {
  const int64_t run = (end - begin) / R;
  for (int64_t k = 0; k < run; ++k) multiply_rows<Rows<R>>(p, begin + k, run);
  for (int64_t r = begin + run * R; r < end; ++r) multiply_rows<Rows<1>>(p, r, 0);
}

template <int R>
using F32Rows = FloatRows<NumberFormat::kF32, R>;
template <int R>
using F16Rows = FloatRows<NumberFormat::kF16, R>;
template <int R>
using BF16Rows = FloatRows<NumberFormat::kBF16, R>;
#if DSV4_AVX512 || DSV4_AVX2
template <int R>
using NibbleRows = CodeRows<Nibbles, R>;
template <int R>
using U8Rows = CodeRows<Bytes<NumberFormat::kU8>, R>;
template <int R>
using I8Rows = CodeRows<Bytes<NumberFormat::kI8>, R>;
template <int R>
using F8Rows = CodeRows<Bytes<NumberFormat::kF8E4M3>, R>;
#endif

void GemvFloat(const Product& p, int64_t begin, int64_t end) {
  switch (p.matrix.type) {
    case NumberFormat::kF32:
      return multiply_runs<F32Rows, kFarRows>(p, begin, end);
    case NumberFormat::kF16:
      return multiply_runs<F16Rows, kFarRows>(p, begin, end);
    case NumberFormat::kBF16:
      return multiply_runs<BF16Rows, kFarRows>(p, begin, end);
    default:
      break;
  }
#if DSV4_AVX512 || DSV4_AVX2
  if (p.matrix.group % kLanes == 0 || p.matrix.groups() == 1) {
    if (p.matrix.type == NumberFormat::kU8) return multiply_runs<U8Rows, kFarRows>(p, begin, end);
    if (p.matrix.type == NumberFormat::kI8) return multiply_runs<I8Rows, kFarRows>(p, begin, end);
    if (p.matrix.type == NumberFormat::kF8E4M3) return multiply_runs<F8Rows, kFarRows>(p, begin, end);
    return multiply_runs<NibbleRows, kFarRows>(p, begin, end);
  }
#endif
  multiply_runs<UnpackedRows, kFarRows>(p, begin, end);
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(GemvFloat);

void gemv_float(const Product& product, int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(GemvFloat)(product, begin, end); }

}  // namespace dsv4::ops
#endif  // HWY_ONCE
