// RoPE frequencies: powers of theta, interpolated by YaRN.
#include "graph/frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace dsv4 {

std::vector<double> rope_frequencies(const Config& config, bool compressed) {
  const int64_t rope_dim = config.qk_rope_head_dim;
  const double theta = compressed ? config.compress_rope_theta : config.rope_theta;
  std::vector<double> frequencies;
  for (int64_t j = 0; j < rope_dim / 2; ++j) {
    frequencies.push_back(std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(rope_dim)));
  }
  if (!compressed || !config.yarn) return frequencies;
  const YarnScaling& yarn = *config.yarn;
  const auto correction_dim = [&](double rotations) {
    return static_cast<double>(rope_dim) * std::log(yarn.original_max_position / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(theta));
  };
  const double low = std::max(std::floor(correction_dim(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(correction_dim(yarn.beta_slow)), static_cast<double>(rope_dim - 1));
  if (low == high) high += 0.001;
  for (size_t j = 0; j < frequencies.size(); ++j) {
    const double ramp = std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    frequencies[j] = frequencies[j] / yarn.factor * ramp + frequencies[j] * (1.0 - ramp);
  }
  return frequencies;
}

}  // namespace dsv4
