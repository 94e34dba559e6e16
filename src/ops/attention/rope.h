// RoPE (spec 2.4): tables of the positions of a call's rows, and rotation of adjacent pairs in the last dims of a vector.
#pragma once

#include <cmath>
#include <cstdint>

#include "ops/support/scratch.h"

namespace dsv4::ops {

/// cos and sin [positions, pairs].
struct RopeTable {
  int64_t pairs = 0;
  const float* cos = nullptr;
  const float* sin = nullptr;

  RopeTable from(int64_t row) const { return {pairs, cos + row * pairs, sin + row * pairs}; }
};

/// Row i is position_of(i). The angle is the float32 product of position and frequency, as DeepSeek forms it.
template <class F>
RopeTable make_rope_table(const float* frequencies, int64_t pairs, int64_t positions, const F& position_of, Scratch& scratch) {
  float* cosines = scratch.take<float>(positions * pairs);
  float* sines = scratch.take<float>(positions * pairs);
  for (int64_t i = 0; i < positions; ++i) {
    const auto position = static_cast<float>(position_of(i));
    for (int64_t j = 0; j < pairs; ++j) {
      const float angle = position * frequencies[j];
      cosines[i * pairs + j] = std::cos(angle);
      sines[i * pairs + j] = std::sin(angle);
    }
  }
  return {pairs, cosines, sines};
}

/// Rotates the last 2 * pairs of `dims` values at x by the angles of one row, or back with kInverse.
template <bool kInverse = false>
void rotate(const RopeTable& table, int64_t row, float* x, int64_t dims) {
  float* pair = x + dims - 2 * table.pairs;
  const float* cosines = table.cos + row * table.pairs;
  const float* sines = table.sin + row * table.pairs;
  for (int64_t j = 0; j < table.pairs; ++j) {
    const float c = cosines[j], s = kInverse ? -sines[j] : sines[j];
    const float a = pair[2 * j], b = pair[2 * j + 1];
    pair[2 * j] = a * c - b * s;
    pair[2 * j + 1] = a * s + b * c;
  }
}

}  // namespace dsv4::ops
