// The choices on a row's way (experts, entries): how close they were, which tells a choice that rounding may turn from an error, and those to make otherwise.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

namespace dsv4 {

/// One choice: of a row, in a layer, of its experts or of the entries that it attends to.
struct Choice {
  int64_t row = 0;
  int64_t layer = 0;
  bool experts = false;

  auto operator<=>(const Choice&) const = default;  // NOLINT(modernize-use-nullptr): of the compiler's own making
};

/// The margin of a choice is by how much its scores would have to change until another one is made, in units of float32's rounding (2^-24) of the magnitudes
/// that they were computed from: an implementation in float32 whose inputs are as exact as its arithmetic may choose otherwise up to a margin of about 1.
struct CloseChoice {
  Choice choice;
  double margin = 0.0;
};

constexpr double kFloatRounding = 0x1p-24;

namespace reference {

/// Of one layer. Threads may use it for different rows at the same time.
class LayerChoices {
 public:
  LayerChoices(int64_t layer, int64_t rows, const std::set<Choice>& turned)
      : layer_(layer), turned_(turned), entries_(static_cast<size_t>(rows), kNone), experts_(static_cast<size_t>(rows), kNone) {}

  /// `gap`: between the worst score that is chosen and the best that is not. True: the choice is to be made otherwise, the one in place of the other.
  bool entries(int64_t row, double gap, double magnitude) { return add(entries_, {row, layer_, false}, gap, magnitude); }
  bool experts(int64_t row, double gap, double magnitude) { return add(experts_, {row, layer_, true}, gap, magnitude); }

  /// Those of a margin of at most `limit` go to `close`.
  void collect(double limit, std::vector<CloseChoice>& close) const {
    for (size_t t = 0; t < entries_.size(); ++t) {
      const auto row = static_cast<int64_t>(t);
      if (entries_[t] <= limit) close.push_back({{row, layer_, false}, entries_[t]});
      if (experts_[t] <= limit) close.push_back({{row, layer_, true}, experts_[t]});
    }
  }

 private:
  static constexpr double kNone = std::numeric_limits<double>::infinity();

  bool add(std::vector<double>& margins, const Choice& choice, double gap, double magnitude) {
    const double margin = gap == 0.0 ? 0.0 : gap / (magnitude * kFloatRounding);
    margins[static_cast<size_t>(choice.row)] = std::isnan(margin) ? 0.0 : margin;
    return turned_.contains(choice);
  }

  int64_t layer_;
  const std::set<Choice>& turned_;
  std::vector<double> entries_, experts_;  // [T]
};

}  // namespace reference
}  // namespace dsv4
