// Matrices of any type times many tokens in float32: rows are unpacked once and multiplied with all tokens, some rows and tokens at a time.
#include <array>
#include <utility>

#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemm_float.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/float_dots-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

// Their sums, and the weights of all rows, are in registers.
#if DSV4_AVX512
constexpr int kTileRows = 4, kTileTokens = 6;
#elif DSV4_AVX2
constexpr int kTileRows = 3, kTileTokens = 4;
#else
constexpr int kTileRows = 2, kTileTokens = 4;
#endif

constexpr int64_t kFloatsOfLine = 16, kTileGroups = (kPieceRows + kTileRows - 1) / kTileRows;

/// Some columns of rows that lie `stride` apart.
struct Rows {
  const float* first;
  int64_t stride;
  int64_t count;  ///< at most kTileRows
};

/// A chunk of n columns times T tokens: x [T, n]. Sums of token t go to y + t * y_stride, to what is there if `adds`. `ahead`: the share of the next tile's x
/// that is asked for meanwhile, an even one, because the first rows would wait for all of it.
template <int T>
void multiply_tile(const Rows& rows, const float* x, int64_t n, float* y, int64_t y_stride, bool adds, const float* ahead) {
  const float* w[kTileRows];
  for (int64_t r = 0; r < kTileRows; ++r) w[r] = rows.first + std::min(r, rows.count - 1) * rows.stride;
  DotSums<kTileRows, T> sums;
  int64_t k = 0;
  while (k + kLanes <= n) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t, ahead += kFloatsOfLine) __builtin_prefetch(ahead, 0, 3);
    for (const int64_t end = std::min(n, k + kTileGroups * kFloatsOfLine); k + kLanes <= end; k += kLanes) {
      sums.add([&](int r) HWY_ATTR { return load(w[r] + k); }, [&](int t) HWY_ATTR { return load(x + t * n + k); });
    }
  }
  if (k < n) {
    sums.add([&](int r) HWY_ATTR { return load_first(w[r] + k, n - k); }, [&](int t) HWY_ATTR { return load_first(x + t * n + k, n - k); });
  }
  const auto target = [&](int t) HWY_ATTR { return y + t * y_stride; };
  if (rows.count == kTileRows) {
    sums.put(target, kTileRows, 1, adds);
  } else {
    sums.put(target, rows.count, 1, adds);
  }
}

using Kernel = void (*)(const Rows&, const float*, int64_t, float*, int64_t, bool, const float*);

template <int... kTokens>
constexpr std::array<Kernel, sizeof...(kTokens)> kernels_of(std::integer_sequence<int, kTokens...>) {
  return {&multiply_tile<kTokens + 1>...};
}

int64_t TileTokens() { return kTileTokens; }

/// In the order in which they are read: many tokens do not stay in the cache while all are multiplied with some rows.
void PackTile(const Activations& x, const PackedTokens& packed, int64_t tile) {
  const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first;
  float* to = packed.values + first * x.cols;
  for (int64_t c = 0; c < x.cols; c += kFloatChunkColumns) {
    const int64_t n = std::min(kFloatChunkColumns, x.cols - c);
    for (int64_t t = 0; t < tokens; ++t, to += n) std::copy_n(x.values_of(first + t) + c, n, to);
  }
}

void GemmFloat(const Product& p, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  static constexpr auto kKernels = kernels_of(std::make_integer_sequence<int, kTileTokens>());
  const PackedMatrix& m = p.matrix;
  auto* unpacked = reinterpret_cast<float*>(buffer);  // [rows, kUnpackedRow]
  for (int64_t c = 0; c < m.cols; c += kFloatChunkColumns) {
    const int64_t n = std::min(kFloatChunkColumns, m.cols - c);
    const float* rows = unpacked;
    int64_t stride = kUnpackedRow;
    if (m.type == NumberFormat::kF32) {
      rows = reinterpret_cast<const float*>(m.codes) + begin * m.cols + c;
      stride = m.cols;
    } else {
      for (int64_t row = begin; row < end; ++row) unpack_columns(m, row, c, n, unpacked + (row - begin) * kUnpackedRow);
    }
    for (int64_t tile = 0; tile < packed.tiles; ++tile) {
      const int64_t first = packed.first(tile), tokens = packed.first(tile + 1) - first;
      const float* x = packed.values + first * m.cols + c * tokens;
      const float* ahead = x + tokens * m.cols;  // the next tile
      for (int64_t row = begin; row < end; row += kTileRows, ahead += tokens * n / kTileGroups) {
        kKernels[static_cast<size_t>(tokens - 1)]({rows + (row - begin) * stride, stride, std::min<int64_t>(kTileRows, end - row)}, x, n,
                                                  p.y + first * p.y_stride + row, p.y_stride, c > 0, ahead);
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

int64_t gemm_float_buffer_bytes() { return kPieceRows * kUnpackedRow * static_cast<int64_t>(sizeof(float)); }

void gemm_float(const Product& product, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer) {
  HWY_DYNAMIC_DISPATCH(GemmFloat)(product, packed, begin, end, buffer);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
