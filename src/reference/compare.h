// How far two sets of logits are apart, row by row, and which rows a near tie explains.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dsv4 {

struct LogitDifference {
  int64_t rows = 0;          ///< compared
  double max_logit = 0.0;    ///< largest |expected|
  double max = 0.0;          ///< largest |actual - expected|
  double mean = 0.0;         ///< mean |actual - expected|
  double kl = 0.0;           ///< mean over rows of KL(expected || actual), in nats
  int64_t greedy_match = 0;  ///< rows with the same arg-max
};

/// Logits compared as they come: only a few numbers a row are kept.
class LogitComparison {
 public:
  explicit LogitComparison(int64_t vocab) : vocab_(vocab) {}

  /// The next rows of both, [n, vocab] each. Error if the sizes differ or are not multiples of vocab. NaN in `actual` makes max and mean infinite.
  void add(std::span<const float> expected, std::span<const float> actual);

  /// Of all rows.
  LogitDifference all() const;

  /// Of a row: max_logit, max, mean, kl and whether the arg-max is the same.
  const std::vector<LogitDifference>& rows() const { return rows_; }

 private:
  int64_t vocab_;
  std::vector<LogitDifference> rows_;
};

/// Both [T, vocab]; as LogitComparison.
LogitDifference compare_logits(std::span<const float> expected, std::span<const float> actual, int64_t vocab);

/// A comparison with the rows apart that differ by more than a tolerance because a choice on their way (an expert, an entry) was a near tie that rounding turned.
struct JudgedLogits {
  LogitDifference held;       ///< of the rows that are held to the tolerance
  double allowed = 0.0;       ///< their largest difference may be: tolerance * the largest |expected|
  int64_t near_ties = 0;      ///< rows beyond it whose own margin is within rounding
  int64_t moved = 0;          ///< rows beyond it that an earlier one of these moved
  double apart_max = 0.0;     ///< largest difference of both
  int64_t apart_allowed = 0;  ///< how many both may be: 1 % of all rows, at least one
  bool passed = false;

  int64_t apart() const { return near_ties + moved; }
};

/// `margins`: of each row (ReferenceRows). Rows are in the order of one sequence from its start. A row beyond the tolerance is a near tie if its margin is within
/// 16 times the comparison's own rounding, which is the median row's difference; so the first row that differs has to be one. What it left moves later
/// rows: they see it, or their own choices turn by it. Such a row may differ by as much as the near ties before it did, or have a margin within that.
JudgedLogits judge(const LogitComparison& comparison, std::span<const double> margins, double tolerance);

}  // namespace dsv4
