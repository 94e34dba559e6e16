// Measured numbers for people.
#pragma once

#include <string>

namespace dsv4 {

/// Three digits, which is more than a measurement is good for: 0.0212, 8.5, 259, 1230.
std::string three_digits(double value);

}  // namespace dsv4
