// Rotary position embedding (spec 2.4): frequencies of a layer class, with YaRN on compressed layers, and rotation of the last dims.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/config.h"
#include "reference/linear_algebra.h"

namespace dsv4::reference {

/// f_j for j < rd/2. Sliding layers: rope_theta alone. Compressed layers: compress_rope_theta, with YaRN if the config has it.
std::vector<double> rope_frequencies(const Config& config, LayerKind kind);

/// cos and sin of every (position, j) for one layer class. The angle is the float32 product of position and frequency, as in
/// DeepSeek's code.
class RotaryTable {
 public:
  /// For positions [0, positions).
  RotaryTable(const Config& config, LayerKind kind, int64_t positions);

  /// Rotates the last rd of `dims` values at x: adjacent pairs (a, b) -> (a cos - b sin, a sin + b cos).
  void rotate(float* x, int64_t dims, int64_t position) const { turn(x, dims, position, 1.0); }
  /// The rotation by the negative angle.
  void rotate_back(float* x, int64_t dims, int64_t position) const { turn(x, dims, position, -1.0); }

 private:
  void turn(float* x, int64_t dims, int64_t position, double sign) const;

  Matrix64 cos_;
  Matrix64 sin_;
};

}  // namespace dsv4::reference
