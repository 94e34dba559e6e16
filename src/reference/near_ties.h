// Whether logits are the reference's: every row within a tolerance, once the choices that rounding may turn are made as the other side made them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "reference/choices.h"
#include "reference/compare.h"
#include "reference/reference.h"

namespace dsv4 {

struct JudgedLogits {
  LogitDifference difference;     ///< with near ties made as the other side made them, if that passed; else of the first comparison
  double allowed = 0.0;           ///< its max may be: tolerance * the largest |expected|
  int64_t near_ties = 0;          ///< rows with a choice that was made the other way
  double near_tie_max = 0.0;      ///< their largest difference before that
  int64_t near_ties_allowed = 0;  ///< 1 % of all rows, at least one
  bool passed = false;
};

/// Compares as often as it takes. A row beyond the tolerance can be a near tie if the margin of one of its choices is within rounding: 8 times the comparison's
/// own, which is the median difference of the rows within the tolerance, or what rows before it differ by. That choice is turned and everything compared again, so that rows
/// which the near tie had moved (they attend to it) have to agree too. No row sees later ones, so the first row beyond the tolerance settles the matter: if none of
/// its choices is close, or no way of making them agrees, it is an error.
class NearTies {
 public:
  NearTies(int64_t rows, double tolerance);

  /// Of all rows, with turned() made otherwise by the reference; `close` are its choices. True: turned() has changed, compare again.
  bool judge(const LogitComparison& comparison, std::span<const CloseChoice> close);

  const std::set<Choice>& turned() const { return turned_; }
  const JudgedLogits& result() const { return result_; }

 private:
  /// What was tried on a row: its close choices, and which of them are turned, as bits.
  struct Trial {
    std::vector<Choice> choices;
    uint32_t turned = 0;
    uint32_t wrong = 0;  // ways that did not agree although all rows before did
  };

  bool advance(int64_t row, bool first, const std::vector<Choice>& choices);
  void count();

  double tolerance_;
  int comparisons_ = 0;
  double scale_ = 0.0;               // largest |expected|
  double within_ = 0.0;              // margins within rounding
  std::vector<double> first_;        // differences of the first comparison
  std::map<int64_t, Trial> trials_;  // by row
  std::set<Choice> turned_;
  JudgedLogits result_;
};

/// `first` compares the reference's logits of `rows`, which are those of `tokens`, with the other side's. As often as it takes, `actual` is asked for the other
/// side's logits again: of `step` rows at a time (fewer at the end), in order from row 0.
JudgedLogits judge_logits(const Reference& reference, std::span<const int64_t> tokens, const ReferenceRows& rows,
                          const LogitComparison& first, double tolerance, int64_t step,
                          const std::function<std::vector<float>(int64_t begin, int64_t end)>& actual);

}  // namespace dsv4
