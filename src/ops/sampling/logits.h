// Loops over the logits of one token: the largest, the largest few, sums of exponentials and the sampled one. No loop sorts, and none allocates but top_ids.
//
// Every result is the same on every instruction set and for every width of vectors: what is compared is compared exactly, what is summed is summed in integers,
// and exponentials are made by the same operations in the same order.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ops/sampling/noise.h"

namespace dsv4::ops {

struct Largest {
  int64_t id = -1;  ///< the lowest of equal ones; -1: there is no logit
  float value = -std::numeric_limits<float>::infinity();
  int64_t nan = -1;  ///< the first NaN; then the rest means nothing
};

Largest largest(std::span<const float> logits);

/// The `count` largest, the largest first, of equal ones the lower id first. All of them, where there are fewer. No NaN.
std::vector<int64_t> top_ids(std::span<const float> logits, int64_t count);

/// Which ids are left: those whose logit is above `least`, and those where it is equal up to the id `last`. What comes before a token when logits are sorted,
/// equal ones by id, has this form; so every filter that keeps the most likely tokens is such a bound.
struct Bound {
  float least = std::numeric_limits<float>::lowest();  ///< finite: -infinity is never left
  int64_t last = std::numeric_limits<int64_t>::max();

  bool keeps(float logit, int64_t id) const { return logit > least || (logit == least && id <= last); }
};

/// Weights are exp((logit - max) / temperature); above 0.
struct Weighting {
  float max = 0.0f;  ///< finite, no logit is larger
  double temperature = 1.0;
};

/// Sums of weights are in units of 2^-36 of the largest one, so that they are exact whatever their order.
constexpr double kMassUnit = 0x1p-36;

/// Of what is left.
uint64_t mass(std::span<const float> logits, const Weighting& weighting, const Bound& bound);

/// Of the ids that are left the one with the largest (logit - max) / temperature + gumbel(noise), in double, of equal ones the lowest. `most_likely`: an id with
/// the logit max that is left; noise is drawn only where an id can still win against the best so far.
int64_t draw(std::span<const float> logits, const Weighting& weighting, const Bound& bound, const Noise& noise, int64_t most_likely);

}  // namespace dsv4::ops
