// Rotary position embedding: the angles in float32 as DeepSeek forms them, everything else in float64.
#include "reference/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace dsv4::reference {
namespace {

/// The (real-valued) pair index whose frequency makes `rotations` full turns over the original context.
double yarn_boundary(double rotations, double dims, double theta, double original_positions) {
  return dims * std::log(original_positions / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(theta));
}

/// Slow pairs are interpolated (divided by the factor), fast ones kept, with a linear ramp between.
void apply_yarn(std::vector<double>& frequencies, const YarnScaling& yarn, int64_t dims, double theta) {
  const auto n = static_cast<double>(dims);
  const double low = std::max(std::floor(yarn_boundary(yarn.beta_fast, n, theta, yarn.original_max_position)), 0.0);
  double high = std::min(std::ceil(yarn_boundary(yarn.beta_slow, n, theta, yarn.original_max_position)), n - 1.0);
  if (low == high) high += 0.001;
  for (size_t j = 0; j < frequencies.size(); ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] = frequencies[j] / yarn.factor * ramp + frequencies[j] * (1.0 - ramp);
  }
}

}  // namespace

std::vector<double> rope_frequencies(const Config& config, LayerKind kind) {
  const int64_t dims = config.qk_rope_head_dim;
  const double theta = kind == LayerKind::kSliding ? config.rope_theta : config.compress_rope_theta;
  std::vector<double> frequencies(static_cast<size_t>(dims / 2));
  for (size_t j = 0; j < frequencies.size(); ++j) {
    frequencies[j] = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(dims));
  }
  if (kind != LayerKind::kSliding && config.yarn) apply_yarn(frequencies, *config.yarn, dims, theta);
  return frequencies;
}

RotaryTable::RotaryTable(const Config& config, LayerKind kind, int64_t positions)
    : cos_(positions, config.qk_rope_head_dim / 2), sin_(positions, config.qk_rope_head_dim / 2) {
  const std::vector<double> frequencies = rope_frequencies(config, kind);
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t j = 0; j < cos_.cols; ++j) {
      const float angle = static_cast<float>(p) * static_cast<float>(frequencies[static_cast<size_t>(j)]);
      cos_.row(p)[j] = std::cos(static_cast<double>(angle));
      sin_.row(p)[j] = std::sin(static_cast<double>(angle));
    }
  }
}

void RotaryTable::turn(float* x, int64_t dims, int64_t position, double sign) const {
  float* pair = x + dims - 2 * cos_.cols;
  for (int64_t j = 0; j < cos_.cols; ++j, pair += 2) {
    const double c = cos_.row(position)[j];
    const double s = sign * sin_.row(position)[j];
    const double a = pair[0];
    const double b = pair[1];
    pair[0] = static_cast<float>(a * c - b * s);
    pair[1] = static_cast<float>(a * s + b * c);
  }
}

}  // namespace dsv4::reference
