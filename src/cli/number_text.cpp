// Measured numbers for people.
#include "cli/number_text.h"

#include <cmath>
#include <cstdio>

namespace dsv4 {

std::string three_digits(double value) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3g", value);
  const double rounded = std::strtod(text, nullptr);
  // From 1000 on %g would write an exponent.
  if (std::abs(rounded) >= 1000.0 && std::abs(rounded) < 1e15) std::snprintf(text, sizeof text, "%.0f", rounded);
  return text;
}

}  // namespace dsv4
