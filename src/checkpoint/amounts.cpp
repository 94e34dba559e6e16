// Numbers of bytes and of parameters for people.
#include "checkpoint/amounts.h"

#include <array>
#include <cstdio>

namespace dsv4 {

namespace {

std::string with_unit(double value, const std::array<const char*, 5>& units) {
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < units.size()) {
    value /= 1000.0;
    ++unit;
  }
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s%s" : "%.2f%s%s", value, *units[unit] ? " " : "", units[unit]);
  return text;
}

}  // namespace

std::string byte_text(uint64_t bytes) { return with_unit(static_cast<double>(bytes), {"bytes", "kB", "MB", "GB", "TB"}); }

std::string count_text(int64_t count) { return with_unit(static_cast<double>(count), {"", "thousand", "million", "billion", "trillion"}); }

}  // namespace dsv4
