// Rows of any type times a few tokens in float32.
#include <array>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemv_float.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

HWY_INLINE float tail_dot(const float* w, const float* x, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += w[i] * x[i];
  return sum;
}

/// weights(i): kLanes weights from column i on; kWidth: bytes of one where they lie in memory that is read for the first time, else 0. Four sums hide the latency
/// of an addition.
template <int64_t kWidth, class LoadWeights>
HWY_INLINE int64_t dot(const LoadWeights& weights, const std::byte* memory, const float* x, int64_t n, float& sum) {
  Floats sums[4] = {zeros(), zeros(), zeros(), zeros()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int64_t line = 0; line < 4 * kLanes * kWidth; line += 64) prefetch_ahead(memory + i * kWidth + line);
    for (int64_t k = 0; k < 4; ++k) sums[k] = multiply_add(weights(i + k * kLanes), load(x + i + k * kLanes), sums[k]);
  }
  for (; i + kLanes <= n; i += kLanes) sums[0] = multiply_add(weights(i), load(x + i), sums[0]);
  sum = sum_of_lanes(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  return i;
}

#if DSV4_AVX2
// Two rows that lie far apart at once, a line of each by turns: far_rows-inl.h says why.
constexpr int kRowsAtOnce = 2;
constexpr int64_t kPrefetchAhead = 1024;
#else
constexpr int kRowsAtOnce = 1;
constexpr int64_t kPrefetchAhead = 2048;
#endif

/// R rows, `first` and `first + apart`. A row's products and the order in which they are added up do not depend on R.
template <WeightType kType, int R>
HWY_INLINE void multiply_float_rows(const Product& p, int64_t first, int64_t apart) {
  constexpr int64_t kBytes = kType == WeightType::kF32 ? 4 : 2;
  const PackedMatrix& m = p.matrix;
  const int64_t row_bytes = m.cols * kBytes;
  const std::byte* w = m.codes + first * row_bytes;
  const auto weights = [&](int r, int64_t i) HWY_ATTR { return load_weights<kType>(w + r * apart * row_bytes + i * kBytes); };
  for (int64_t t = 0; t < p.x.tokens; ++t) {
    const float* x = p.x.values_of(t);
    Floats sums[R][4];
    for (int i = 0; i < 4 * R; ++i) sums[i / 4][i % 4] = zeros();
    int64_t i = 0;
    for (; i + 4 * kLanes <= m.cols; i += 4 * kLanes) {
      for (int r = 0; r < R; ++r) {
        for (int64_t line = 0; line < 4 * kLanes * kBytes; line += 64) {
          __builtin_prefetch(w + r * apart * row_bytes + i * kBytes + line + kPrefetchAhead, 0, 3);
        }
        for (int64_t k = 0; k < 4; ++k) sums[r][k] = multiply_add(weights(r, i + k * kLanes), load(x + i + k * kLanes), sums[r][k]);
      }
    }
    for (; i + kLanes <= m.cols; i += kLanes) {
      for (int r = 0; r < R; ++r) sums[r][0] = multiply_add(weights(r, i), load(x + i), sums[r][0]);
    }
    for (int r = 0; r < R; ++r) {
      float& y = p.y[t * p.y_stride + first + r * apart];
      y = sum_of_lanes(add(add(sums[r][0], sums[r][1]), add(sums[r][2], sums[r][3])));
      if (i < m.cols) {
        float rest[kLanes];
        unpack_columns(m, first + r * apart, i, m.cols - i, rest);
        y += tail_dot(rest, x + i, m.cols - i);
      }
    }
  }
}

template <WeightType kType>
HWY_INLINE void float_rows(const Product& p, int64_t begin, int64_t end) {
  const int64_t run = (end - begin) / kRowsAtOnce;
  for (int64_t k = 0; k < run; ++k) multiply_float_rows<kType, kRowsAtOnce>(p, begin + k, run);
  for (int64_t r = begin + run * kRowsAtOnce; r < end; ++r) multiply_float_rows<kType, 1>(p, r, 0);
}

/// Any compressed matrix, by way of unpacked rows.
HWY_INLINE void unpacked_rows(const Product& p, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = 1024;
  alignas(64) float w[kColumns];
  const PackedMatrix& m = p.matrix;
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t c = 0; c < m.cols; c += kColumns) {
      const int64_t n = std::min(kColumns, m.cols - c);
      unpack_columns(m, r, c, n, w);
      for (int64_t t = 0; t < p.x.tokens; ++t) {
        const float* x = p.x.values_of(t) + c;
        float sum;
        const int64_t done = dot<0>([&](int64_t i) HWY_ATTR { return load(w + i); }, nullptr, x, n, sum);
        sum += tail_dot(w + done, x + done, n - done);
        float& y = p.y[t * p.y_stride + r];
        y = c == 0 ? sum : y + sum;
      }
    }
  }
}

#if DSV4_AVX512 || DSV4_AVX2

/// Bytes of any group width that is whole vectors, or that is the row.
template <WeightType kType>
HWY_INLINE void byte_rows(const Product& p, int64_t begin, int64_t end) {
  const PackedMatrix& m = p.matrix;
  const int64_t groups = m.groups();
  for (int64_t r = begin; r < end; ++r) {
    const std::byte* w = m.codes + r * m.cols;
    for (int64_t t = 0; t < p.x.tokens; ++t) {
      const float* x = p.x.values_of(t);
      float y = 0.0f;
      for (int64_t g = 0; g < groups; ++g, w += m.group, x += m.group) {
        float scale, zero_point = 0.0f, sum;
        load_scales(m, r * groups + g, 1, &scale);
        if (m.zero_points) load_zero_points(m, r * groups + g, 1, &zero_point);
        const Floats zero = all(zero_point);
        const int64_t done = dot<1>([&](int64_t i) HWY_ATTR { return sub(load_bytes<kType>(w + i), zero); }, w, x, m.group, sum);
        for (int64_t i = done; i < m.group; ++i) {
          const int code = kType == WeightType::kU8 ? std::to_integer<int>(w[i]) : static_cast<int8_t>(w[i]);
          sum += (static_cast<float>(code) - zero_point) * x[i];
        }
        y += scale * sum;
      }
      w -= m.cols;
      p.y[t * p.y_stride + r] = y;
    }
  }
}

constexpr int64_t kChunk = 8 * kLanes;  // columns in a vector of nibbles

/// What 4-bit codes are multiplied as; weight = (table[nibble] - (zero point + offset)) * scale * factor. Small numbers on both sides of zero: little cancels out.
struct SignedForm {
  alignas(16) int8_t table[16];
  float offset;
  float factor;
};

HWY_INLINE SignedForm signed_form(WeightType type) {
  switch (type) {
    case WeightType::kU4:
      return {{-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}, -8.0f, 1.0f};
    case WeightType::kI4:
      return {{0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1}, 0.0f, 1.0f};
    default:  // twice the value
      return {{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}, 0.0f, 0.5f};
  }
}

/// Lane j: the sum over columns 8j to 8j + 7 of table[code] * x. `x`: [8, kLanes], as transpose_activations gives it.
#if DSV4_AVX512
struct NibbleDot {
  static constexpr int64_t kReads = 64 + 3;  // bytes, by inner
  __m512 values;
  explicit HWY_INLINE NibbleDot(const SignedForm& form)
      : values(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table))))) {}

  /// A table lookup takes the lowest four bits of a lane, so that loading from the next byte is a shift. `w` goes on after this vector.
  HWY_INLINE Floats inner(const uint8_t* w, const float* x) const {
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int i = 0; i < 4; ++i) {
      const __m512i codes = _mm512_loadu_si512(w + i);
      sums[0] = _mm512_fmadd_ps(_mm512_permutexvar_ps(codes, values), load(x + 2 * i * kLanes), sums[0]);
      sums[1] = _mm512_fmadd_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), values), load(x + (2 * i + 1) * kLanes), sums[1]);
    }
    return _mm512_add_ps(sums[0], sums[1]);
  }
  HWY_INLINE Floats last(const uint8_t* w, int64_t bytes, const float* x) const {
    const __m512i codes = _mm512_maskz_loadu_epi8(~uint64_t{0} >> (64 - bytes), w);
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    for (int i = 0; i < 8; ++i) {
      const __m512i shifted = _mm512_srl_epi32(codes, _mm_cvtsi32_si128(4 * i));
      sums[i % 2] = _mm512_fmadd_ps(_mm512_permutexvar_ps(shifted, values), load(x + i * kLanes), sums[i % 2]);
    }
    return _mm512_add_ps(sums[0], sums[1]);
  }
};
#else
struct NibbleDot {
  static constexpr int64_t kReads = 32;
  __m256i table;
  explicit HWY_INLINE NibbleDot(const SignedForm& form)
      : table(_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(form.table)))) {}

  HWY_INLINE Floats of(__m256i codes, const float* x) const {
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i bytes[2] = {_mm256_shuffle_epi8(table, _mm256_and_si256(codes, low)),
                              _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(codes, 4), low))};
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int i = 0; i < 2; ++i) {
      const __m256i b = bytes[i];
      sums[i] = multiply_add(_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(b, 24), 24)), load(x + i * kLanes), sums[i]);
      sums[i] = multiply_add(_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(b, 16), 24)), load(x + (2 + i) * kLanes), sums[i]);
      sums[i] = multiply_add(_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(b, 8), 24)), load(x + (4 + i) * kLanes), sums[i]);
      sums[i] = multiply_add(_mm256_cvtepi32_ps(_mm256_srai_epi32(b, 24)), load(x + (6 + i) * kLanes), sums[i]);
    }
    return add(sums[0], sums[1]);
  }
  HWY_INLINE Floats inner(const uint8_t* w, const float* x) const { return of(load_words(w), x); }
  HWY_INLINE Floats last(const uint8_t* w, int64_t bytes, const float* x) const {
    alignas(32) uint8_t padded[32] = {};
    std::memcpy(padded, w, static_cast<size_t>(bytes));
    return of(load_words(padded), x);
  }
};
#endif

/// 4-bit rows whose groups are whole chunks or divide them, or are the row. `x`: as transpose_activations gives it.
HWY_INLINE void nibble_rows(const Product& p, const float* transposed, int64_t begin, int64_t end) {
  constexpr int64_t kScales = 512;
  const PackedMatrix& m = p.matrix;
  const SignedForm form = signed_form(m.type);
  const NibbleDot dots(form);
  const bool shifted = m.zero_points != nullptr || form.offset != 0.0f;
  const int64_t chunks = (m.cols + kChunk - 1) / kChunk, row_bytes = m.cols / 2;
  const int64_t groups = m.groups(), per_chunk = m.group >= kChunk || groups == 1 ? 1 : kChunk / m.group;  // groups of a chunk
  const int64_t chunks_of_group = groups == 1 ? chunks : std::max<int64_t>(1, m.group / kChunk);
  alignas(64) float scales[kScales + kLanes], zeros_times_scales[kScales + kLanes];
  // The lanes behind the end of a row have a group of the row too: what follows may be NaN.
  alignas(64) int32_t lane_groups[2][kLanes];
  const int64_t in_last = groups - (chunks - 1) / chunks_of_group * per_chunk;  // groups of the last chunk
  for (int64_t j = 0; j < kLanes; ++j) {
    lane_groups[0][j] = static_cast<int32_t>(j * per_chunk / kLanes);
    lane_groups[1][j] = static_cast<int32_t>(std::min(j * per_chunk / kLanes, in_last - 1));
  }
  const Words from_full = load_words(lane_groups[0]), from_last = load_words(lane_groups[1]);
  const int64_t groups_at_once = std::min(groups, kScales);
  const int64_t rows_at_once = groups_at_once < groups ? 1 : kScales / groups;
  for (int64_t row = begin; row < end; row += rows_at_once) {
    const int64_t row_end = std::min(end, row + rows_at_once);
    for (int64_t g = 0; g < groups; g += groups_at_once) {
      const int64_t n = std::min(groups_at_once, groups - g);
      load_scales(m, row * groups + g, n * (row_end - row), scales);
      if (m.zero_points) {
        load_zero_points(m, row * groups + g, n * (row_end - row), zeros_times_scales);
      } else {
        std::fill_n(zeros_times_scales, n * (row_end - row), 0.0f);
      }
      for (int64_t i = 0; i < n * (row_end - row); ++i) {
        scales[i] *= form.factor;
        zeros_times_scales[i] = (zeros_times_scales[i] + form.offset) * scales[i];
      }
      store(scales + n * (row_end - row), zeros());
      store(zeros_times_scales + n * (row_end - row), zeros());
      // Chunks of these groups: kScales is a multiple of the groups of a chunk.
      const int64_t first = g / per_chunk * chunks_of_group, last = std::min(chunks, (g + n + per_chunk - 1) / per_chunk * chunks_of_group);
      for (int64_t r = row; r < row_end; ++r) {
        const auto* w = reinterpret_cast<const uint8_t*>(m.codes) + r * row_bytes;
        const float* of_row = scales + (r - row) * groups;
        const float* zeros_of_row = zeros_times_scales + (r - row) * groups;
        for (int64_t t = 0; t < p.x.tokens; ++t) {
          const float* x = transposed + t * chunks * (kChunk + kLanes);
          Floats sum = zeros();
          const auto add_chunk = [&](int64_t c, Floats of_chunk) HWY_ATTR {
            const int64_t at = c / chunks_of_group * per_chunk - g;
            const Words from = c == chunks - 1 ? from_last : from_full;
            const auto spread = [&](const float* of_groups)
                                    HWY_ATTR { return per_chunk == 1 ? all(*of_groups) : permute(load(of_groups), from); };
            sum = multiply_add(spread(of_row + at), of_chunk, sum);
            if (!shifted) return;
            const Floats sums_of_lanes = load(x + c * (kChunk + kLanes) + kChunk);
            sum = negative_multiply_add(spread(zeros_of_row + at), sums_of_lanes, sum);
          };
          for (int64_t c = first; c < last; ++c) {
            const uint8_t* codes = w + c * (kChunk / 2);
            const float* of_chunk = x + c * (kChunk + kLanes);
            const int64_t left = row_bytes - c * (kChunk / 2);
            prefetch_ahead(codes);
            add_chunk(c, left >= NibbleDot::kReads ? dots.inner(codes, of_chunk) : dots.last(codes, std::min(left, kChunk / 2), of_chunk));
          }
          float& y = p.y[t * p.y_stride + r];
          y = g == 0 ? sum_of_lanes(sum) : y + sum_of_lanes(sum);
        }
      }
    }
  }
}

int64_t TransposedFloats(const PackedMatrix& m) {
  const bool fits = m.groups() == 1 || m.group % kChunk == 0 || (m.group % 8 == 0 && kChunk % m.group == 0);
  return is_four_bits(m.type) && fits ? (m.cols + kChunk - 1) / kChunk * (kChunk + kLanes) : 0;
}

void TransposeActivations(const Activations& x, float* out) {
  for (int64_t t = 0; t < x.tokens; ++t) {
    const float* from = x.values_of(t);
    for (int64_t c = 0; c < x.cols; c += kChunk, out += kChunk + kLanes) {
      alignas(64) float padded[kChunk];
      const float* chunk = from + c;
      if (const int64_t left = x.cols - c; left < kChunk) {
        std::copy_n(chunk, left, padded);
        std::fill(padded + left, padded + kChunk, 0.0f);
        chunk = padded;
      }
      Floats sums = zeros();
      for (int64_t i = 0; i < 8; ++i) {
        const Floats column = every_eighth(chunk + i);
        store(out + i * kLanes, column);
        sums = add(sums, column);
      }
      store(out + kChunk, sums);
    }
  }
}

#else

int64_t TransposedFloats(const PackedMatrix&) { return 0; }
void TransposeActivations(const Activations&, float*) {}

#endif

void GemvFloat(const Product& p, const float* transposed, int64_t begin, int64_t end) {
  switch (p.matrix.type) {
    case WeightType::kF32:
      return float_rows<WeightType::kF32>(p, begin, end);
    case WeightType::kF16:
      return float_rows<WeightType::kF16>(p, begin, end);
    case WeightType::kBF16:
      return float_rows<WeightType::kBF16>(p, begin, end);
    default:
      break;
  }
#if DSV4_AVX512 || DSV4_AVX2
  if (transposed) return nibble_rows(p, transposed, begin, end);
  if (p.matrix.group % kLanes == 0 || p.matrix.groups() == 1) {
    if (p.matrix.type == WeightType::kU8) return byte_rows<WeightType::kU8>(p, begin, end);
    if (p.matrix.type == WeightType::kI8) return byte_rows<WeightType::kI8>(p, begin, end);
  }
#endif
  (void)transposed;
  unpacked_rows(p, begin, end);
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(GemvFloat);
HWY_EXPORT(TransposedFloats);
HWY_EXPORT(TransposeActivations);

int64_t transposed_floats(const PackedMatrix& matrix) { return HWY_DYNAMIC_DISPATCH(TransposedFloats)(matrix); }

void transpose_activations(const Activations& x, float* out) { HWY_DYNAMIC_DISPATCH(TransposeActivations)(x, out); }

void gemv_float(const Product& product, const float* transposed, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(GemvFloat)(product, transposed, begin, end);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
