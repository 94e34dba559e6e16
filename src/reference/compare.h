// How far two sets of logits are apart, row by row.
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

  int64_t vocab_size() const { return vocab_; }

 private:
  int64_t vocab_;
  std::vector<LogitDifference> rows_;
};

/// Both [T, vocab]; as LogitComparison.
LogitDifference compare_logits(std::span<const float> expected, std::span<const float> actual, int64_t vocab);

}  // namespace dsv4
