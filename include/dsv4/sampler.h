// Choosing the next token from logits: greedy, or temperature and top-p with a generator that is the same on every machine.
//
// A Sampler owns the state of its random numbers, and nothing else: one for every text. generate() (dsv4/request.h) makes its own.
#pragma once

#include <cstdint>
#include <span>

namespace dsv4 {

struct SamplerOptions {
  double temperature = 0.0;  ///< 0: greedy
  double top_p = 1.0;        ///< in (0, 1]
  uint64_t seed = 0;
};

class Sampler {
 public:
  /// Error for a negative temperature or a top_p outside (0, 1].
  explicit Sampler(const SamplerOptions& options);

  /// An index into `logits`. Greedy takes the lowest of equal ones. Error when a logit is NaN.
  int64_t sample(std::span<const float> logits);

 private:
  double uniform();

  SamplerOptions options_;
  uint64_t state_;
};

/// Index of the largest value, the lowest of equal ones. Error for NaN.
int64_t argmax(std::span<const float> values);

}  // namespace dsv4
