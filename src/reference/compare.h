// How far two sets of logits are apart.
#pragma once

#include <cstdint>
#include <span>

namespace dsv4 {

struct LogitDifference {
  double max_logit = 0.0;    ///< largest |expected|
  double max = 0.0;          ///< largest |actual - expected|
  double mean = 0.0;         ///< mean |actual - expected|
  double kl = 0.0;           ///< mean over positions of KL(expected || actual), in nats
  int64_t greedy_match = 0;  ///< positions with the same arg-max
};

/// Both [T, vocab]. Error if the sizes differ or are not multiples of vocab. NaN in `actual` makes max and mean infinite.
LogitDifference compare_logits(std::span<const float> expected, std::span<const float> actual, int64_t vocab);

}  // namespace dsv4
