// The regular expressions of a tokenizer: Oniguruma's, as HF tokenizers runs them, rewritten for PCRE2, as OpenVINO Tokenizers runs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// The Unicode of the PCRE2 that a pattern is for.
enum class Pcre2Unicode {
  kUntil16,  ///< 14, 15 or 16
  kFrom17,   ///< the tokenizers library's, and later ones
};

/// A pattern of a `Split` step, in PCRE2's syntax and with Oniguruma's meaning. Both know `\p{L}`, but not in the same version of Unicode, and they
/// differ on whether U+180E is white space; the result spells such classes so that both agree on every code point. Error, beginning with `where`, for
/// syntax outside of what DeepSeek's tokenizers use (literals, escapes, classes, \p of a major category, groups, look-ahead, quantifiers).
std::string pcre2_pattern(std::string_view oniguruma, const std::string& where, Pcre2Unicode unicode = Pcre2Unicode::kFrom17);

/// A pattern that matches the longest of `strings` at the leftmost place where one begins: a trie, so that its cost does not grow with their number.
/// `strings` is not empty, each is valid UTF-8 and not empty.
std::string longest_of(const std::vector<std::string>& strings);

}  // namespace dsv4
