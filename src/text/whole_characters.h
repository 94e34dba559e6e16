// Bytes of a text on their way to a reader, who gets whole characters.
#pragma once

#include <string>
#include <string_view>

namespace dsv4 {

/// Lets only whole characters through. What is no UTF-8 becomes U+FFFD, in the same places whatever pieces the bytes come in.
class WholeCharacters {
 public:
  /// Appends to `out` what is certain.
  void push(std::string_view bytes, std::string& out);
  /// The text is at its end: an unfinished character becomes U+FFFD.
  void finish(std::string& out);

 private:
  std::string held_;
};

}  // namespace dsv4
