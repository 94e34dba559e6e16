// Greedy and top-p sampling.
#include "dsv4/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "dsv4/error.h"

namespace dsv4 {

int64_t argmax(std::span<const float> values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) fail("the logits hold NaN at token ", i, "; the model or its weights are broken");
    if (values[i] > values[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), state_(options.seed) {
  if (!(options.temperature >= 0.0) || !std::isfinite(options.temperature))
    fail("temperature ", options.temperature, ": expected 0 or more");
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) fail("top-p ", options.top_p, ": expected more than 0 and at most 1");
}

double Sampler::uniform() {
  // splitmix64; std's distributions differ between libraries.
  uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

int64_t Sampler::sample(std::span<const float> logits) {
  const int64_t best = argmax(logits);
  if (options_.temperature == 0.0) return best;

  const double top = logits[static_cast<size_t>(best)];
  std::vector<double> weight(logits.size());
  std::transform(logits.begin(), logits.end(), weight.begin(),
                 [&](float l) { return std::exp((static_cast<double>(l) - top) / options_.temperature); });
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weight[a] > weight[b]; });

  // The nucleus: the fewest most likely tokens that together have top_p.
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  double nucleus = 0.0;
  size_t count = 0;
  while (count < order.size() && (count == 0 || nucleus < options_.top_p * total)) nucleus += weight[order[count++]];

  double left = uniform() * nucleus;
  for (size_t i = 0; i + 1 < count; ++i) {
    left -= weight[order[i]];
    if (left < 0.0) return static_cast<int64_t>(order[i]);
  }
  return static_cast<int64_t>(order[count - 1]);
}

}  // namespace dsv4
