// Where a text ends at one of several strings, while it comes in pieces.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// Passes a text on up to the first stop string: the one that ends first, of those that end at the same place the longest. How the text is cut into pieces
/// changes nothing. Only what may yet be the beginning of a stop string is held back.
class StopStrings {
 public:
  /// No string may be empty.
  explicit StopStrings(const std::vector<std::string>& strings);

  /// Text that is certain now. Nothing comes after a stop string.
  std::string push(std::string_view text);
  /// What was held back when the text ended without a stop string.
  std::string finish();
  /// A stop string was met; it is not part of the text.
  bool stopped() const { return stopped_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<size_t> fallback;  // Knuth, Morris, Pratt: of each prefix, the longest shorter one that it ends with
    size_t matched = 0;            // bytes at the end of the text that are the beginning of this one
  };

  std::vector<Pattern> patterns_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace dsv4
