// Edit distances of names.
#include "cli/suggestion.h"

#include <algorithm>
#include <cstddef>

namespace dsv4 {

namespace {

constexpr size_t kLongest = 64;  // names are shorter, and nothing longer is near one

/// Characters inserted, left out, replaced or swapped with their neighbour (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known, const std::string& help) {
  const size_t letters = typed.size() - std::min(typed.find_first_not_of('-'), typed.size());
  if (letters < 2 || typed.size() > kLongest) return "; see " + help;  // of one letter everything is near
  const std::string* nearest = nullptr;
  size_t least = std::max<size_t>(1, letters / 3) + 1;
  for (const std::string& name : known) {
    const bool begins = letters >= 3 && name.starts_with(typed);  // --temper for --temperature
    const size_t distance = begins ? 1 : edit_distance(typed, name);
    if (distance >= least) continue;
    least = distance;
    nearest = &name;
  }
  return nearest ? "; did you mean " + *nearest + "? See " + help : "; see " + help;
}

}  // namespace dsv4
