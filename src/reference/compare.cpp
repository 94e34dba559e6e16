// How far two sets of logits are apart.
#include "reference/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr double kRounding = 0x1p-24;   // of float32: the unit of margins
constexpr double kOfMedian = 16.0;      // a row's rounding may be so many times that of the median row
constexpr int64_t kRowsANearTie = 100;  // at most one row of so many, or of fewer, is explained so

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

double median_difference(const std::vector<LogitDifference>& rows) {
  std::vector<double> differences;
  for (const LogitDifference& row : rows) differences.push_back(row.max);
  const auto middle = differences.begin() + static_cast<std::ptrdiff_t>(differences.size() / 2);
  std::nth_element(differences.begin(), middle, differences.end());
  return *middle;
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

JudgedLogits judge(const LogitComparison& comparison, std::span<const double> margins, double tolerance) {
  const std::vector<LogitDifference>& rows = comparison.rows();
  if (rows.empty() || rows.size() != margins.size())
    fail("cannot judge ", rows.size(), " rows of logits by the margins of ", margins.size());
  const double scale = comparison.all().max_logit;
  JudgedLogits judged;
  judged.allowed = tolerance * scale;
  judged.apart_allowed = (static_cast<int64_t>(rows.size()) + kRowsANearTie - 1) / kRowsANearTie;
  const double within = kOfMedian * std::max(kRounding, median_difference(rows) / scale);
  double left = 0.0;  // by near ties so far, as a part of the largest logit
  for (size_t t = 0; t < rows.size(); ++t) {
    const LogitDifference& row = rows[t];
    const double part = row.max / scale, margin = margins[t] * kRounding;
    const bool beyond = !(row.max <= judged.allowed) && std::isfinite(row.max);
    const bool near_tie = beyond && margin <= within;
    const bool moved = beyond && !near_tie && left > 0.0 && std::min(part, margin) <= left;
    if (near_tie || moved) {
      ++(near_tie ? judged.near_ties : judged.moved);
      judged.apart_max = std::max(judged.apart_max, row.max);
      left = std::max(left, part);
    } else {
      add_row(judged.held, row);
    }
  }
  divide_by_rows(judged.held);
  judged.passed = judged.held.max <= judged.allowed && judged.apart() <= judged.apart_allowed;
  return judged;
}

}  // namespace dsv4
