// Checks of option values that CLI11 leaves out.
#include "cli/option_checks.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

namespace dsv4 {

CLI::Validator unsigned_64() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc() && end == text.data() + text.size() ? "" : text + " is not an integer of 64 bits without a sign";
      },
      "");
}

CLI::Range at_least(int low) { return CLI::Range(low, std::numeric_limits<int>::max()); }

}  // namespace dsv4
