// Compressed rows times a few tokens in int8, at the speed of memory: rows that lie far apart, a line of each by turns.
//
// A core reads faster in some far streams than in one, as long as it always has lines to ask for: so there are few operations beside each line, and the scales
// of many groups are converted between the products, not those of a row before them. Measured: docs/benchmarks.md. A result has the bits of gemm_int8's: the
// arithmetic stands in kernels.h.
#if defined(DSV4_OPS_MATRIX_FAR_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#undef DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#else
#define DSV4_OPS_MATRIX_FAR_ROWS_INL_H_
#endif

#include <type_traits>

#include "ops/matrix/units-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

#if DSV4_AVX512 || DSV4_AVX2

constexpr int64_t kRowsOfScalesPrefetch = 8;  // rows ahead; one line a row is too seldom for the processor to see a stream
constexpr int64_t kTokensAtOnce = 4;
constexpr int64_t kUnitsOfChunk = kChunkColumns / kUnitColumns;

// The record of a token for a unit: its codes as those of the weights lie (nibbles: 64 of the even columns, then 64 of the odd ones) and the scales of its
// blocks as Quads. The records of up to kTokensAtOnce tokens for a unit lie together.
constexpr int64_t kRecord = kUnitColumns + kQuadLanes * static_cast<int64_t>(sizeof(float));

/// How many groups a unit has: one or a part of one, two, four; or other widths, which may divide blocks unequally and need not fill the last unit.
enum class UnitGroups { kOne, kTwo, kFour, kAny };

/// What is multiplied: some tokens with a run of rows.
struct FarRun {
  const Product& product;
  const CodeForm& form;
  int64_t row_bytes;
  int64_t groups, segment, segments, chunk;  ///< groups of a row, columns of a segment, segments of a row, columns of a chunk
  bool corrected;
  const float* sums = nullptr;         ///< [T, segments] of the first token on
  const std::byte* records = nullptr;  ///< of the first token on
  int64_t unit_step = 0;               ///< bytes from the records of a unit to those of the next
  float* y = nullptr;                  ///< of the first token
};

/// Segments [begin, begin + n) of each row, odd numbers of them or parts of groups: their scales as quads, and these times the zero points. Not inlined: one
/// copy serves all kernels.
HWY_NOINLINE void take_few_segments(const FarRun& run, const int64_t (&row)[kFarRows], int64_t begin, int64_t n, float* scales,
                                    float* zeros) {
  float of_row[kGroupsAtOnce], zeros_of_row[kGroupsAtOnce];
  for (int64_t i = 0; i < n; i += kSumLanes) {
    std::fill_n(scales + i * kFarRows, kQuadLanes, 0.0f);
    std::fill_n(zeros + i * kFarRows, kQuadLanes, 0.0f);
  }
  for (int r = 0; r < kFarRows; ++r) {
    load_segment_factors(run.product.matrix, run.form, row[r], run.groups, run.segment, begin, std::min(n, kGroupsAtOnce), of_row,
                         zeros_of_row);
    for (int64_t i = 0; i < n; ++i) {
      scales[quad_lane(i, r)] = of_row[i];
      zeros[quad_lane(i, r)] = zeros_of_row[i];
    }
  }
}

/// The same of as many groups as takes_groups() says.
HWY_INLINE void take_groups(const FarRun& run, const int64_t (&row)[kFarRows], int64_t begin, int64_t n, float* scales, float* zeros) {
  const PackedMatrix& m = run.product.matrix;
  RowGroups of_row[kFarRows];
#pragma GCC unroll 4
  for (int r = 0; r < kFarRows; ++r) of_row[r] = scales_of_groups(m, row[r] * run.segments + begin, n);
  store_as_quads(of_row, scales);
  if (m.zero_points) {
#pragma GCC unroll 4
    for (int r = 0; r < kFarRows; ++r)
      of_row[r] = times(plus(zero_points_of_groups(m, row[r] * run.segments + begin, n), run.form.offset), of_row[r]);
    store_as_quads(of_row, zeros);
  } else if (run.corrected) {
    const RowGroups offset = plus(RowGroups{}, run.form.offset);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kFarRows * kGroupsAtOnce; i += kQuadLanes) {
      const Quads zero = multiply_quads(load_quads(scales + i), offset);
      std::memcpy(zeros + i, &zero, sizeof zero);
    }
  }
}

/// kFarRows rows for T tokens. The operations of a row and a token, and their order, depend on neither the other rows nor the other tokens.
template <UnitCodes kCodes, UnitGroups kGroups, int T>
void multiply_far_rows(const FarRun& run, const int64_t (&row)[kFarRows], int64_t rows) {
  const PackedMatrix& m = run.product.matrix;
  const CodeForm& form = run.form;
  const int64_t segment = run.segment, segments = run.segments, chunk = run.chunk;
  const bool corrected = run.corrected;
  const uint8_t* w[kFarRows];
  for (int r = 0; r < kFarRows; ++r) {
    w[r] = reinterpret_cast<const uint8_t*>(m.codes) + row[r] * run.row_bytes;
    const int64_t ahead = (row[r] + kRowsOfScalesPrefetch) * run.groups;
    __builtin_prefetch(m.scales + (m.type == NumberFormat::kF4E2M1 ? ahead : 2 * ahead), 0, 3);
    if (m.zero_points) __builtin_prefetch(m.zero_points + (m.type == NumberFormat::kU8 ? ahead : ahead / 2), 0, 3);
  }
  const std::byte* x = run.records;
  Quads sums[T], corrections[T];
  Unit<kCodes> unit;
  const auto add_unit = [&](Quads scale) HWY_ATTR {
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const std::byte* record = x + t * kRecord;
      const Quads scales_of_x = load_quads(reinterpret_cast<const float*>(record + kUnitColumns));
      sums[t] = multiply_add_quads(multiply_quads(unit.dots(reinterpret_cast<const int8_t*>(record)), scales_of_x), scale, sums[t]);
    }
    x += run.unit_step;
  };
  const auto next_unit = [&](Quads scale) HWY_ATTR {
#pragma GCC unroll 4
    for (int r = 0; r < kFarRows; ++r) {
      for (int64_t line = 0; line < kUnitBytes<kCodes>; line += 64) __builtin_prefetch(w[r] + line + kFarPrefetch, 0, 3);
      unit.load(r, w[r], form);
      w[r] += kUnitBytes<kCodes>;
    }
    add_unit(scale);
  };
  alignas(64) float scales[kFarRows * kGroupsAtOnce], zeros[kFarRows * kGroupsAtOnce];
  const auto take = [&](int64_t begin, int64_t n) HWY_ATTR {
    if (takes_groups(n) && segment == m.group) {
      take_groups(run, row, begin, n, scales, zeros);
    } else {
      take_few_segments(run, row, begin, n, scales, zeros);
    }
    for (int64_t q = 0; corrected && q < n; q += kSumLanes) {
      const Quads zero = load_quads(zeros + q * kFarRows);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        corrections[t] = multiply_add_quads(zero, quads_of_all_rows(run.sums + t * segments + begin + q, n - q), corrections[t]);
      }
    }
  };
  for (int64_t c = 0; c < m.cols; c += chunk) {
    const int64_t columns = std::min(chunk, m.cols - c), first = c / segment, count = columns / segment;
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) sums[t] = corrections[t] = no_quads();
    if constexpr (kGroups == UnitGroups::kAny) {
      // The scale of every block first: these rows are short ones or rare ones.
      alignas(64) float of_blocks[kUnitsOfChunk * kQuadLanes];
      const int64_t blocks = columns / kActivationBlock, per_segment = segment / kActivationBlock;
      for (int64_t s = 0; s < count; s += kGroupsAtOnce) {
        const int64_t n = std::min(kGroupsAtOnce, count - s);
        take(first + s, n);
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t b = (s + i) * per_segment; b < (s + i + 1) * per_segment; ++b) {
            for (int r = 0; r < kFarRows; ++r) of_blocks[quad_lane(b, r)] = scales[quad_lane(i, r)];
          }
        }
      }
      for (int64_t b = blocks; b % kSumLanes != 0; ++b) {
        for (int r = 0; r < kFarRows; ++r) of_blocks[quad_lane(b, r)] = 0.0f;
      }
      for (int64_t b = 0; b < blocks; b += kSumLanes) {
        const Quads scale = load_quads(of_blocks + b * kFarRows);
        if (b + kSumLanes <= blocks) {
          next_unit(scale);
          continue;
        }
        constexpr int64_t kBlockBytes = kUnitBytes<kCodes> / kSumLanes;
        alignas(64) uint8_t padded[kFarRows][kUnitBytes<kCodes>] = {};
        for (int r = 0; r < kFarRows; ++r) {
          for (int64_t i = 0; i < blocks - b; ++i) std::memcpy(padded[r] + i * kBlockBytes, w[r] + i * kBlockBytes, kBlockBytes);
          unit.load(r, padded[r], form);
          w[r] += (blocks - b) * kBlockBytes;
        }
        add_unit(scale);
      }
    } else {
      for (int64_t s = 0; s < count; s += kGroupsAtOnce) {
        const int64_t n = std::min(kGroupsAtOnce, count - s);
        take(first + s, n);
        if constexpr (kGroups == UnitGroups::kFour) {
          for (int64_t i = 0; i < n; i += 4) next_unit(load_quads(scales + i * kFarRows));
        } else if constexpr (kGroups == UnitGroups::kTwo) {
          for (int64_t i = 0; i < n; i += 2) next_unit(two_groups(scales, i));
        } else {
          for (int64_t i = 0; i < n; ++i) {
            const Quads scale = one_group(scales, i);
            for (int64_t column = 0; column < segment; column += kUnitColumns) next_unit(scale);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      float results[kFarRows];
      sum_quads(corrected ? subtract_quads(sums[t], corrections[t]) : sums[t], results);
      for (int r = 0; r < kFarRows; ++r) {
        if (r >= rows) break;
        float& y = run.y[t * run.product.y_stride + row[r]];
        y = c == 0 ? results[r] * form.factor : y + results[r] * form.factor;
      }
    }
  }
}

/// Calls f with the kind of codes and of groups as constants.
template <class F>
HWY_INLINE void with_far_form(const PackedMatrix& m, const F& f) {
  const auto with_groups = [&](auto codes) HWY_ATTR {
    const int64_t segment = segment_columns(m);
    if (m.cols % kUnitColumns == 0 && segment % kUnitColumns == 0) {
      f(codes, std::integral_constant<UnitGroups, UnitGroups::kOne>());
    } else if (m.cols % kUnitColumns == 0 && segment == kUnitColumns / 2) {
      f(codes, std::integral_constant<UnitGroups, UnitGroups::kTwo>());
    } else if (m.cols % kUnitColumns == 0 && segment == kActivationBlock) {
      f(codes, std::integral_constant<UnitGroups, UnitGroups::kFour>());
    } else {
      f(codes, std::integral_constant<UnitGroups, UnitGroups::kAny>());
    }
  };
  if (!is_four_bits(m.type)) {
    with_groups(std::integral_constant<UnitCodes, UnitCodes::kBytes>());
  } else if (m.type == NumberFormat::kU4) {
    with_groups(std::integral_constant<UnitCodes, UnitCodes::kNibbles>());
  } else {
    with_groups(std::integral_constant<UnitCodes, UnitCodes::kTableNibbles>());
  }
}

/// Units of a row, each chunk's last one filled up.
HWY_INLINE int64_t units_of_row(int64_t cols, int64_t chunk) {
  const auto units = [](int64_t columns) { return (columns + kUnitColumns - 1) / kUnitColumns; };
  return cols / chunk * units(chunk) + units(cols % chunk);
}

/// One run of rows for all tokens of the product: four, two or one of them at once, those of rare forms one by one.
template <UnitCodes kCodes, UnitGroups kGroups>
void multiply_tokens(FarRun run, const float* sums, const std::byte* records, int64_t units, const int64_t (&row)[kFarRows], int64_t rows) {
  const int64_t tokens = run.product.x.tokens;
  for (int64_t t = 0; t < tokens;) {
    const int64_t four = t - t % kTokensAtOnce, of_four = std::min(kTokensAtOnce, tokens - four), left = of_four - t % kTokensAtOnce;
    run.sums = sums + t * run.segments;
    run.records = records + four * units * kRecord + (t - four) * kRecord;
    run.unit_step = of_four * kRecord;
    run.y = run.product.y + t * run.product.y_stride;
    if constexpr (kGroups != UnitGroups::kAny) {
      if (left == 4) {
        multiply_far_rows<kCodes, kGroups, 4>(run, row, rows);
        t += 4;
        continue;
      }
      if (left >= 2) {
        multiply_far_rows<kCodes, kGroups, 2>(run, row, rows);
        t += 2;
        continue;
      }
    }
    multiply_far_rows<kCodes, kGroups, 1>(run, row, rows);
    ++t;
  }
}

/// Rows [begin, end) for all tokens of the product.
HWY_INLINE void multiply_far(const Product& p, const float* sums, const std::byte* records, const CodeForm& form, int64_t begin,
                             int64_t end) {
  const PackedMatrix& m = p.matrix;
  const int64_t segment = segment_columns(m), chunk = chunk_columns(m), units = units_of_row(m.cols, chunk);
  const FarRun run{p, form, m.row_bytes(), m.groups(), segment, m.cols / segment, chunk, is_corrected(m, form)};
  const int64_t apart = (end - begin + kFarRows - 1) / kFarRows;
  with_far_form(m, [&](auto codes, auto groups) HWY_ATTR {
    for (int64_t k = 0; k < apart; ++k) {
      int64_t row[kFarRows], rows = 0;  // the last one again for those that are missing
      for (int64_t r = 0; r < kFarRows; ++r) {
        if (begin + k + r * apart < end) rows = r + 1;
        row[r] = begin + k + (rows - 1) * apart;
      }
      multiply_tokens<decltype(codes)::value, decltype(groups)::value>(run, sums, records, units, row, rows);
    }
  });
}

/// x as multiply_far wants it: [tokens in fours, units, tokens of the four, kRecord].
HWY_INLINE void make_far_records(const PackedMatrix& m, const Activations& x, std::byte* out) {
  const int64_t blocks = x.blocks(), chunk = chunk_columns(m) / kActivationBlock;
  const bool four_bits = is_four_bits(m.type);
  for (int64_t begin = 0; begin < x.tokens; begin += kTokensAtOnce) {
    const int64_t end = std::min(x.tokens, begin + kTokensAtOnce);
    for (int64_t b = 0; b < blocks;) {
      const int64_t n = std::min({kSumLanes, blocks - b, chunk - b % chunk});  // blocks of the unit
      for (int64_t t = begin; t < end; ++t, out += kRecord) {
        const int64_t row = x.row_of(t);
        if (n < kSumLanes) std::memset(out, 0, kUnitColumns);
        if (four_bits) {
          const int8_t* even = x.planes + row * blocks * kActivationBlock + b * (kActivationBlock / 2);
          std::memcpy(out, even, static_cast<size_t>(n * kActivationBlock / 2));
          std::memcpy(out + kUnitColumns / 2, even + blocks * (kActivationBlock / 2), static_cast<size_t>(n * kActivationBlock / 2));
        } else {
          std::memcpy(out, x.codes + (row * blocks + b) * kActivationBlock, static_cast<size_t>(n * kActivationBlock));
        }
        const Quads scales = quads_of_all_rows(x.scales + row * blocks + b, n);
        std::memcpy(out + kUnitColumns, &scales, sizeof scales);
      }
      b += n;
    }
  }
}

#endif  // DSV4_AVX512 || DSV4_AVX2

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard of Highway's kind
