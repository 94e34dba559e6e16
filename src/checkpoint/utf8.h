// UTF-8: what is whole, what is valid, and the replacement of what is not.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

/// Offset of the first byte that is not part of a valid character; nothing when all of `text` is valid UTF-8.
std::optional<size_t> invalid_utf8(std::string_view text);

/// Every maximal invalid part (Unicode 3.9, "U+FFFD Substitution of Maximal Subparts") becomes U+FFFD, as Rust's and Python's decoders do.
std::string replace_invalid_utf8(std::string_view bytes);

/// Bytes at the end that begin a character which further bytes could complete: 0 to 3.
size_t unfinished_utf8(std::string_view bytes);

struct Character {
  std::optional<char32_t> code;  ///< nothing where the bytes are no character
  size_t bytes = 0;              ///< of it, or of the maximal invalid part: at least 1
};

/// The beginning of `text`, which is not empty. Allocates nothing.
Character first_character(std::string_view text);

/// The code points of valid UTF-8.
std::u32string code_points(std::string_view valid);

/// One code point in UTF-8.
std::string to_utf8(char32_t c);

}  // namespace dsv4
