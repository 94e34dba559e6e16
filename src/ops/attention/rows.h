// What the scalar and the vector code of attention share: padded widths, rows to the cache's type, norms.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/numbers.h"
#include "ops/attention/cache.h"

namespace dsv4::ops {

/// Working rows are zero-padded to a multiple of this many floats; vectors are this wide at most.
constexpr int64_t kRowLanes = 16;
constexpr int64_t padded(int64_t n) { return (n + kRowLanes - 1) / kRowLanes * kRowLanes; }

/// Multiplications and additions worth a thread of their own (some 20 us).
constexpr int64_t kWorthAThread = 1 << 20;

/// (mean(x^2) + eps)^(-1/2), summed in kRowLanes columns so that compilers vectorise it.
inline float inverse_rms(const float* x, int64_t n, float eps) {
  std::array<float, kRowLanes> sums{};
  int64_t i = 0;
  for (; i + kRowLanes <= n; i += kRowLanes) {
    for (int64_t j = 0; j < kRowLanes; ++j) sums[static_cast<size_t>(j)] += x[i + j] * x[i + j];
  }
  float sum = 0.0f;
  for (; i < n; ++i) sum += x[i] * x[i];
  for (const float s : sums) sum += s;
  return 1.0f / std::sqrt(sum / static_cast<float>(n) + eps);
}

/// x = w x / rms(x) (spec 2.1).
inline void rms_norm(float* x, const float* w, int64_t n, float eps) {
  const float factor = inverse_rms(x, n, eps);
  for (int64_t i = 0; i < n; ++i) x[i] = w[i] * (x[i] * factor);
}

/// Values as a row of a cache.
inline void store_row(const float* x, int64_t n, CachePrecision type, std::byte* row) {
  if (type == CachePrecision::kF32) {
    std::memcpy(row, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  auto* halves = static_cast<uint16_t*>(static_cast<void*>(row));
  for (int64_t i = 0; i < n; ++i) halves[i] = f32_to_bf16(x[i]);
}

/// x [rows, cols] as columns of out [cols, stride], with zeros in the columns from `rows` to padded(rows).
inline void transpose_rows(const float* x, int64_t rows, int64_t cols, float* out, int64_t stride) {
  constexpr int64_t kRows = 8;  // as many lines stay in the first-level cache whatever their distance
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t n = std::min(kRows, rows - first);
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t r = 0; r < n; ++r) out[c * stride + first + r] = x[(first + r) * cols + c];
    }
  }
  for (int64_t c = 0; c < cols && rows < padded(rows); ++c) std::fill(out + c * stride + rows, out + c * stride + padded(rows), 0.0f);
}

}  // namespace dsv4::ops
