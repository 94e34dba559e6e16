// How far two sets of logits are apart.
#include "reference/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

double log_sum_exp(std::span<const float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float value : row) sum += std::exp(value - top);
  return top + std::log(sum);
}

}  // namespace

LogitDifference compare_logits(std::span<const float> expected, std::span<const float> actual, int64_t vocab) {
  const size_t v = static_cast<size_t>(vocab);
  if (expected.empty() || expected.size() != actual.size() || expected.size() % v != 0) {
    fail("cannot compare ", expected.size(), " with ", actual.size(), " logits over a vocabulary of ", vocab);
  }
  LogitDifference d;
  const size_t positions = expected.size() / v;
  double sum = 0.0;
  for (size_t t = 0; t < positions; ++t) {
    const std::span<const float> e = expected.subspan(t * v, v), a = actual.subspan(t * v, v);
    const double log_e = log_sum_exp(e), log_a = log_sum_exp(a);
    for (size_t i = 0; i < v; ++i) {
      double difference = std::fabs(static_cast<double>(a[i]) - e[i]);
      if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
      d.max_logit = std::max(d.max_logit, std::fabs(static_cast<double>(e[i])));
      d.max = std::max(d.max, difference);
      sum += difference;
      d.kl += std::exp(e[i] - log_e) * ((e[i] - log_e) - (a[i] - log_a));
    }
    d.greedy_match += std::max_element(e.begin(), e.end()) - e.begin() == std::max_element(a.begin(), a.end()) - a.begin();
  }
  d.mean = sum / static_cast<double>(expected.size());
  d.kl /= static_cast<double>(positions);
  return d;
}

}  // namespace dsv4
