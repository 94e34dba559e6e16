// Near ties told from errors by trying them.
#include "reference/near_ties.h"

#include <algorithm>
#include <cmath>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr double kOfMedian = 8.0;       // a row's rounding may be so many times that of the median row
constexpr int64_t kRowsANearTie = 100;  // at most one row of so many, or of fewer, is a near tie
constexpr size_t kChoicesARow = 3;      // tried: the closest
constexpr int kComparisons = 32;

/// Of the values up to `limit`; 0 if there are none.
double median_up_to(double limit, std::vector<double> values) {
  std::erase_if(values, [&](double value) { return !(value <= limit); });
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The closest choices of each row.
std::map<int64_t, std::vector<CloseChoice>> by_row(std::span<const CloseChoice> close) {
  std::map<int64_t, std::vector<CloseChoice>> rows;
  for (const CloseChoice& choice : close) rows[choice.choice.row].push_back(choice);
  for (auto& [row, choices] : rows) {
    std::sort(choices.begin(), choices.end(), [](const CloseChoice& a, const CloseChoice& b) { return a.margin < b.margin; });
    if (choices.size() > kChoicesARow) choices.resize(kChoicesARow);
  }
  return rows;
}

std::vector<Choice> within(const std::vector<CloseChoice>& close, double margin) {
  std::vector<Choice> choices;
  for (const CloseChoice& choice : close) {
    if (choice.margin <= margin) choices.push_back(choice.choice);
  }
  return choices;
}

}  // namespace

NearTies::NearTies(int64_t rows, double tolerance) : tolerance_(tolerance) {
  result_.near_ties_allowed = (rows + kRowsANearTie - 1) / kRowsANearTie;
}

bool NearTies::judge(const LogitComparison& comparison, std::span<const CloseChoice> close) {
  const std::vector<LogitDifference>& rows = comparison.rows();
  if (comparisons_++ == 0) {
    result_.difference = comparison.all();
    scale_ = result_.difference.max_logit;
    result_.allowed = tolerance_ * scale_;
    for (const LogitDifference& row : rows) first_.push_back(row.max);
    within_ = kOfMedian * std::max(1.0, median_up_to(result_.allowed, first_) / (scale_ * kFloatRounding));
  }
  const std::map<int64_t, std::vector<CloseChoice>> choices = by_row(close);
  const std::vector<CloseChoice> none;
  double before = 0.0;  // largest difference of the rows before the first beyond the tolerance
  bool agrees = true;
  for (size_t t = 0; t < rows.size(); ++t) {
    if (rows[t].max <= result_.allowed) {
      if (agrees) before = std::max(before, rows[t].max);
      continue;
    }
    if (!std::isfinite(rows[t].max)) return false;
    const auto row = static_cast<int64_t>(t);
    const auto found = choices.find(row);
    const std::vector<CloseChoice>& of_row = found == choices.end() ? none : found->second;
    const bool advanced = advance(row, agrees, within(of_row, agrees ? std::max(within_, before / (scale_ * kFloatRounding)) : within_));
    if (agrees && !advanced) return false;
    agrees = false;
  }
  count();
  if (agrees) {
    result_.difference = comparison.all();
    result_.passed = result_.near_ties <= result_.near_ties_allowed;
  }
  return !agrees && comparisons_ < kComparisons;
}

/// The next way of making the row's choices: each turned by itself, then together, then none. `first`: all rows before it agree, so that this way is wrong.
/// False when every way is.
bool NearTies::advance(int64_t row, bool first, const std::vector<Choice>& choices) {
  Trial& trial = trials_[row];
  if (trial.choices.empty() || (first && trial.choices != choices)) {
    // Other choices are close than when the row was moved: what was turned of these remains, and has to be compared without the others.
    const Trial old = trial;
    trial = {.choices = choices, .turned = 0, .wrong = 0};
    for (size_t i = 0; i < choices.size(); ++i) trial.turned |= turned_.contains(choices[i]) ? 1u << i : 0u;
    bool changed = false;
    for (const Choice& choice : old.choices) {
      if (std::find(choices.begin(), choices.end(), choice) == choices.end()) changed |= turned_.erase(choice) > 0;
    }
    if (changed) return true;
  }
  const uint32_t ways = 1u << trial.choices.size();
  if (first && ++trial.wrong >= ways) return false;
  trial.turned = (trial.turned + 1) % ways;
  for (size_t i = 0; i < trial.choices.size(); ++i) {
    if ((trial.turned >> i & 1u) != 0) {
      turned_.insert(trial.choices[i]);
    } else {
      turned_.erase(trial.choices[i]);
    }
  }
  return true;
}

void NearTies::count() {
  result_.near_ties = 0;
  result_.near_tie_max = 0.0;
  int64_t last = -1;
  for (const Choice& choice : turned_) {  // by row
    if (choice.row == last) continue;
    last = choice.row;
    ++result_.near_ties;
    result_.near_tie_max = std::max(result_.near_tie_max, first_[static_cast<size_t>(last)]);
  }
}

JudgedLogits judge_logits(const Reference& reference, std::span<const int64_t> tokens, const ReferenceRows& rows,
                          const LogitComparison& first, double tolerance, int64_t step,
                          const std::function<std::vector<float>(int64_t begin, int64_t end)>& actual) {
  NearTies ties(rows.count, tolerance);
  bool again = ties.judge(first, rows.close);
  while (again) {
    const ReferenceRows turned = reference.rows(tokens, ties.turned());
    LogitComparison comparison(first.vocab_size());
    for (int64_t begin = 0; begin < rows.count; begin += step) {
      const int64_t end = std::min(rows.count, begin + step);
      comparison.add(reference.logits_of(turned, begin, end), actual(begin, end));
    }
    again = ties.judge(comparison, turned.close);
  }
  return ties.result();
}

}  // namespace dsv4
