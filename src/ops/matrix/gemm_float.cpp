// Matrices of any type times many tokens in float32: rows are unpacked into panels once and multiplied with all tokens.
#include <array>
#include <utility>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemm_float.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

constexpr int64_t kRows = 2 * kLanes;  // of a panel

// Two vectors of rows times this many tokens are sums in registers.
#if DSV4_AVX512
constexpr int kMostTokens = 12;
#elif DSV4_AVX2
constexpr int kMostTokens = 6;
#else
constexpr int kMostTokens = 4;
#endif

/// `panel` [n, kRows], `x` [n, T].
template <int T>
void multiply_to(const float* panel, const float* x, int64_t n, const TileTarget& to) {
  Floats sums[T][2];
  for (int t = 0; t < T; ++t) sums[t][0] = sums[t][1] = zeros();
  for (int64_t k = 0; k < n; ++k, panel += kRows, x += T) {
    const Floats w0 = load(panel), w1 = load(panel + kLanes);
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) {
      const Floats value = all(x[t]);
      sums[t][0] = multiply_add(w0, value, sums[t][0]);
      sums[t][1] = multiply_add(w1, value, sums[t][1]);
    }
  }
  for (int t = 0; t < T; ++t) {
    float rows[kRows];
    store(rows, sums[t][0]);
    store(rows + kLanes, sums[t][1]);
    to.put(t, rows);
  }
}

using Kernel = void (*)(const float*, const float*, int64_t, const TileTarget&);

template <int... kTokens>
constexpr std::array<Kernel, sizeof...(kTokens)> kernels_of(std::integer_sequence<int, kTokens...>) {
  return {&multiply_to<kTokens + 1>...};
}

/// Rows [row, row + rows) of columns [begin, begin + n) as a panel; the rows that are missing to kRows repeat the last one. `lines` [kLanes, chunk].
HWY_INLINE void unpack_panel(const PackedMatrix& m, int64_t row, int64_t rows, int64_t begin, int64_t n, float* lines, float* panel) {
  for (int64_t half = 0; half < kRows; half += kLanes) {
    for (int64_t r = 0; r < kLanes; ++r) {
      unpack_columns(m, row + std::min(half + r, rows - 1), begin, n, lines + r * kFloatChunkColumns);
    }
    for (int64_t c = 0; c < n; c += kLanes) {
      Words square[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) square[r] = load_words(lines + r * kFloatChunkColumns + c);
      transpose(square);
      const int64_t columns = std::min(kLanes, n - c);
      for (int64_t k = 0; k < columns; ++k) store_words(panel + (c + k) * kRows + half, square[k]);
    }
  }
}

int64_t TileTokens() { return kMostTokens; }

void PackTile(const Activations& x, const PackedTokens& packed, int64_t tile) {
  const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first;
  const auto row = [&](int64_t t) { return x.values_of(first + t); };
  interleave(row, tokens, x.cols, packed.values + first * x.cols, tokens);
}

void GemmFloat(const Product& p, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  static constexpr auto kKernels = kernels_of(std::make_integer_sequence<int, kMostTokens>());
  const PackedMatrix& m = p.matrix;
  auto* panels = reinterpret_cast<float*>(buffer);  // [panel, chunk, kRows]
  float* lines = panels + kPieceRows * kFloatChunkColumns;
  for (int64_t c = 0; c < m.cols; c += kFloatChunkColumns) {
    const int64_t n = std::min(kFloatChunkColumns, m.cols - c);
    for (int64_t row = begin, i = 0; row < end; row += kRows, ++i) {
      unpack_panel(m, row, std::min(kRows, end - row), c, n, lines, panels + i * kRows * kFloatChunkColumns);
    }
    for (int64_t tile = 0; tile < packed.tiles; ++tile) {
      const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first;
      for (int64_t row = begin, i = 0; row < end; row += kRows, ++i) {
        kKernels[tokens - 1](panels + i * kRows * kFloatChunkColumns, packed.values + first * m.cols + c * tokens, n,
                             {p.y + first * p.y_stride + row, p.y_stride, std::min(kRows, end - row), c > 0});
      }
    }
  }
}

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(TileTokens);
HWY_EXPORT(PackTile);
HWY_EXPORT(GemmFloat);

int64_t float_tile_tokens() { return HWY_DYNAMIC_DISPATCH(TileTokens)(); }

void pack_float_tile(const Activations& x, const PackedTokens& packed, int64_t tile) { HWY_DYNAMIC_DISPATCH(PackTile)(x, packed, tile); }

int64_t gemm_float_buffer_bytes() {
  constexpr int64_t kMostLanes = 16;
  return (kPieceRows + kMostLanes) * kFloatChunkColumns * static_cast<int64_t>(sizeof(float));
}

void gemm_float(const Product& product, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  HWY_DYNAMIC_DISPATCH(GemmFloat)(product, packed, begin, end, buffer);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
