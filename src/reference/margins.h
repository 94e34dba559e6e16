// How close the choices on a row's way were: what tells a choice that rounding may turn from an error.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace dsv4::reference {

/// The margin of a choice is by how much its scores would have to change until another one is made, in units of float32's rounding (2^-24) of the magnitudes
/// that they were computed from: an implementation in float32 whose inputs are as exact as its arithmetic may choose otherwise up to a margin of about 1.
/// Of a row the smallest of all layers counts.
class Margins {
 public:
  explicit Margins(int64_t rows) : smallest_(static_cast<size_t>(rows), std::numeric_limits<double>::infinity()) {}

  /// `gap`: between the worst score that was chosen and the best that was not. Threads may add to different rows at the same time.
  void add(int64_t row, double gap, double magnitude) {
    double& smallest = smallest_[static_cast<size_t>(row)];
    const double margin = gap == 0.0 ? 0.0 : gap / (magnitude * kRounding);
    if (!(margin >= smallest)) smallest = std::isnan(margin) ? 0.0 : margin;
  }

  const std::vector<double>& smallest() const { return smallest_; }

  static constexpr double kRounding = 0x1p-24;

 private:
  std::vector<double> smallest_;  // [T]; infinite where nothing was chosen
};

}  // namespace dsv4::reference
