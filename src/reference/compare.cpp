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

LogitDifference compare_row(std::span<const float> expected, std::span<const float> actual) {
  LogitDifference d{.rows = 1};
  const double log_e = log_sum_exp(expected), log_a = log_sum_exp(actual);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], a = actual[i];
    double difference = std::fabs(a - e);
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    d.max_logit = std::max(d.max_logit, std::fabs(e));
    d.max = std::max(d.max, difference);
    d.mean += difference;
    d.kl += std::exp(e - log_e) * ((e - log_e) - (a - log_a));
  }
  d.mean /= static_cast<double>(expected.size());
  const auto top = [](std::span<const float> row) { return std::max_element(row.begin(), row.end()) - row.begin(); };
  d.greedy_match = top(expected) == top(actual) ? 1 : 0;
  return d;
}

void add_row(LogitDifference& sum, const LogitDifference& row) {
  sum.rows += 1;
  sum.max_logit = std::max(sum.max_logit, row.max_logit);
  sum.max = std::max(sum.max, row.max);
  sum.mean += row.mean;
  sum.kl += row.kl;
  sum.greedy_match += row.greedy_match;
}

void divide_by_rows(LogitDifference& sum) {
  if (sum.rows == 0) return;
  sum.mean /= static_cast<double>(sum.rows);
  sum.kl /= static_cast<double>(sum.rows);
}

}  // namespace

void LogitComparison::add(std::span<const float> expected, std::span<const float> actual) {
  const auto v = static_cast<size_t>(vocab_);
  if (expected.empty() || expected.size() != actual.size() || expected.size() % v != 0) {
    fail("cannot compare ", expected.size(), " with ", actual.size(), " logits over a vocabulary of ", vocab_);
  }
  for (size_t begin = 0; begin < expected.size(); begin += v) {
    rows_.push_back(compare_row(expected.subspan(begin, v), actual.subspan(begin, v)));
  }
}

LogitDifference LogitComparison::all() const {
  LogitDifference sum;
  for (const LogitDifference& row : rows_) add_row(sum, row);
  divide_by_rows(sum);
  return sum;
}

LogitDifference compare_logits(std::span<const float> expected, std::span<const float> actual, int64_t vocab) {
  LogitComparison comparison(vocab);
  comparison.add(expected, actual);
  return comparison.all();
}

}  // namespace dsv4
