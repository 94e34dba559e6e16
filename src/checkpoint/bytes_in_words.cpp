// Bytes in the unit that fits them.
#include "checkpoint/bytes_in_words.h"

#include <array>
#include <cstdio>

#include "dsv4/error.h"

namespace dsv4 {

std::string bytes_in_words(uint64_t bytes) {
  if (bytes < 1000) return concat(bytes, " bytes");
  constexpr std::array<const char*, 4> kUnits = {"kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes) / 1e3;
  size_t unit = 0;
  for (; value >= 1000.0 && unit + 1 < kUnits.size(); ++unit) value /= 1e3;
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %s", value, kUnits[unit]);
  return text;
}

}  // namespace dsv4
