// A translator for the part of Oniguruma's syntax that tokenizers use, and a trie of strings as a pattern.
#include "text/split_pattern.h"

#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "dsv4/error.h"
#include "text/unicode_assignments.h"

namespace dsv4 {
namespace {

constexpr size_t kMaxPatternBytes = 1u << 16;
constexpr int kMaxGroups = 64;  // nested; PCRE2 compiles 250 levels
constexpr int kMaxTrieGroups = 200;
constexpr unsigned kMaxRepeat = 1000;                // PCRE2 takes 65535, but multiplies the compiled pattern by it
constexpr std::string_view kCategories = "LMNPSZC";  // they partition Unicode

using Range = CodePointRange;

// Code points that Unicode 17 assigned to letters, marks, numbers, punctuation and symbols. The PCRE2 of OpenVINO Tokenizers 2026.4.1 knows them; the
// Oniguruma of HF tokenizers (0.22 and 0.23) has Unicode 16, where they belong to none of these. tests/text compares every code point with HF tokenizers.
constexpr Range kUnassignedInUnicode16[] = {
    {0x088F, 0x088F},   {0x0C5C, 0x0C5C},   {0x0CDC, 0x0CDC},   {0x1ACF, 0x1ADD},   {0x1AE0, 0x1AEB},   {0x20C1, 0x20C1},
    {0x2B96, 0x2B96},   {0xA7CE, 0xA7CF},   {0xA7D2, 0xA7D2},   {0xA7D4, 0xA7D4},   {0xA7F1, 0xA7F1},   {0xFBC3, 0xFBD2},
    {0xFD90, 0xFD91},   {0xFDC8, 0xFDCE},   {0x10940, 0x10959}, {0x10EC5, 0x10EC7}, {0x10ED0, 0x10ED8}, {0x10EFA, 0x10EFB},
    {0x11B60, 0x11B67}, {0x11DB0, 0x11DDB}, {0x11DE0, 0x11DE9}, {0x16EA0, 0x16EB8}, {0x16EBB, 0x16ED3}, {0x16FF2, 0x16FF6},
    {0x187F8, 0x187FF}, {0x18D09, 0x18D1E}, {0x18D80, 0x18DF2}, {0x1CCFA, 0x1CCFC}, {0x1CEBA, 0x1CED0}, {0x1CEE0, 0x1CEF0},
    {0x1E6C0, 0x1E6DE}, {0x1E6E0, 0x1E6F5}, {0x1E6FE, 0x1E6FF}, {0x1F6D8, 0x1F6D8}, {0x1F777, 0x1F77A}, {0x1F8D0, 0x1F8D8},
    {0x1FA54, 0x1FA57}, {0x1FA8A, 0x1FA8A}, {0x1FA8E, 0x1FA8E}, {0x1FAC8, 0x1FAC8}, {0x1FACD, 0x1FACD}, {0x1FAEA, 0x1FAEA},
    {0x1FAEF, 0x1FAEF}, {0x1FBFA, 0x1FBFA}, {0x2B73A, 0x2B73F}, {0x2CEA2, 0x2CEAD}, {0x323B0, 0x33479}};

// Oniguruma's \s. PCRE2's own has U+180E too.
constexpr Range kSpaces[] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
                             {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

/// A code point as a literal, inside or outside of a class.
std::string literal(char32_t c) {
  if (c < 0x80) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ' || c == '_';
    const bool printable = c >= 0x20 && c < 0x7F;
    if (plain) return {static_cast<char>(c)};
    if (printable) return {'\\', static_cast<char>(c)};
  }
  char text[16];
  std::snprintf(text, sizeof text, "\\x{%X}", static_cast<unsigned>(c));
  return text;
}

std::string range_text(const Range& range) {
  return range.first == range.last ? literal(range.first) : literal(range.first) + "-" + literal(range.last);
}

template <class Ranges>
std::string ranges_text(const Ranges& ranges) {
  std::string text;
  for (const Range& range : ranges) text += range_text(range);
  return text;
}

/// A set of characters: ranges and major categories.
struct CharacterClass {
  bool negated = false;
  std::vector<Range> ranges;
  std::set<char> categories;

  std::string pattern(Pcre2Unicode unicode) const { return unicode == Pcre2Unicode::kFrom17 ? pattern_from_17() : pattern_until_16(); }

 private:
  /// The categories of the set, or those that are not in it.
  std::string names(bool in_set) const {
    std::string text;
    for (const char category : kCategories) {
      if (categories.contains(category) == in_set) text += std::string("\\p{") + category + "}";
    }
    return text;
  }

  /// One class, so that runs of it cost nothing but their length: the categories, and what a PCRE2 with Unicode 14 takes for unassigned.
  std::string pattern_until_16() const {
    std::string text = names(true);
    for (const auto& [category, range] : kAssignedSinceUnicode15) {
      if (categories.contains(category)) text += range_text(range);
    }
    return concat(negated ? "[^" : "[", text, ranges_text(ranges), "]");
  }

  /// As PCRE2 text that matches one character. Categories are spelled by those that are left out, so that one class expresses "L or M, without what
  /// Unicode 16 did not know": [^\p{N}\p{P}\p{S}\p{Z}\p{C}...].
  std::string pattern_from_17() const {
    const std::string listed = ranges_text(ranges);
    if (categories.empty()) return (negated ? "[^" : "[") + listed + "]";
    const std::string others = names(false) + ranges_text(kUnassignedInUnicode16);
    if (negated) return listed.empty() ? "[" + others + "]" : "(?:(?![" + listed + "])[" + others + "])";
    return listed.empty() ? "[^" + others + "]" : "(?:[" + listed + "]|[^" + others + "])";
  }
};

/// A part of a pattern.
struct Part {
  std::string text;
  bool may_be_empty = false;  // whether it can match without taking a character
  bool look_ahead = false;
};

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where, Pcre2Unicode unicode) : where_(where), unicode_(unicode) {
    if (pattern.size() > kMaxPatternBytes) fail(where, ": ", pattern.size(), " bytes, expected a pattern of at most ", kMaxPatternBytes);
    if (invalid_utf8(pattern)) fail(where, ": not UTF-8");
    text_ = code_points(pattern);
  }

  std::string run() {
    if (text_.empty()) refuse("an empty pattern");
    const Part out = alternatives(0);
    if (at_ < text_.size()) refuse("a ) without (");
    if (out.may_be_empty) refuse("a pattern that can match nothing");  // the engines go on differently behind an empty match
    return out.text;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(where_, ": ", what, " at character ", at_, " is not supported, expected the syntax of DeepSeek's tokenizer.json; ",
         "convert with --disable-convert-tokenizer and add tokenizer models by other means");
  }

  bool at_end() const { return at_ == text_.size(); }
  char32_t peek() const { return at_end() ? 0 : text_[at_]; }
  bool take(std::u32string_view token) {
    if (std::u32string_view(text_).substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  Part alternatives(int depth) {
    if (depth > kMaxGroups) refuse("a group nested this deep");
    Part out;
    bool none = true, alternative_empty = true;
    while (!at_end() && peek() != U')') {
      if (take(U"|")) {
        if (none) refuse("an empty alternative");
        out.may_be_empty = out.may_be_empty || alternative_empty;
        out.text += '|';
        none = alternative_empty = true;
        continue;
      }
      const Part part = repeated(item(depth));
      out.text += part.text;
      alternative_empty = alternative_empty && part.may_be_empty;
      none = false;
    }
    if (none) refuse("an empty alternative");
    out.may_be_empty = out.may_be_empty || alternative_empty;
    return out;
  }

  /// One character, class or group, as PCRE2 text that a quantifier may follow.
  Part item(int depth) {
    if (take(U"[")) return {character_class().pattern(unicode_)};
    if (take(U"\\")) return {escape().pattern(unicode_)};
    if (peek() == U'(') {
      const bool plain = take(U"(?:"), not_followed = !plain && take(U"(?!"), followed = !plain && !not_followed && take(U"(?=");
      if (!plain && !not_followed && !followed) refuse("this kind of group");
      const Part inside = alternatives(depth + 1);
      if (!take(U")")) refuse("a ( without ) that ends");
      return {(plain ? "(?:" : not_followed ? "(?!" : "(?=") + inside.text + ")", !plain || inside.may_be_empty, !plain};
    }
    const char32_t c = peek();
    if (std::u32string_view(U"^$.*+?{}]").find(c) != std::u32string_view::npos) refuse(quote(to_utf8(c)));
    ++at_;
    return {literal(c)};
  }

  Part repeated(Part item) {
    if (at_end()) return item;
    std::string quantifier;
    bool none_allowed = false;
    if (peek() == U'?' || peek() == U'*' || peek() == U'+') {
      none_allowed = peek() != U'+';
      quantifier = static_cast<char>(text_[at_++]);
    } else if (take(U"{")) {
      const unsigned low = number();
      none_allowed = low == 0;
      quantifier = concat("{", low);
      if (take(U",")) {
        quantifier += ',';
        if (peek() != U'}') {
          const unsigned high = number();
          if (high < low || high == 0) refuse("a repetition with these bounds");
          quantifier += std::to_string(high);
        }
      }
      if (!take(U"}")) refuse("an unfinished repetition");
      quantifier += '}';
    }
    if (quantifier.empty()) return item;
    if (item.look_ahead || item.may_be_empty) refuse("a repetition of what can match nothing");
    if (peek() == U'?' || peek() == U'*' || peek() == U'+' || peek() == U'{') refuse("a quantifier behind a quantifier");
    return {item.text + quantifier, none_allowed};
  }

  unsigned number() {
    unsigned value = 0;
    const size_t begin = at_;
    for (; peek() >= U'0' && peek() <= U'9'; ++at_) {
      value = value * 10 + static_cast<unsigned>(peek() - U'0');
      if (value > kMaxRepeat) refuse("a repetition above " + std::to_string(kMaxRepeat));
    }
    if (at_ == begin) refuse("a repetition without a number");
    return value;
  }

  /// Behind a backslash.
  CharacterClass escape() {
    CharacterClass out;
    const char32_t c = peek();
    if (at_end()) refuse("a backslash at the end");
    ++at_;
    switch (c) {
      case U'r':
        out.ranges = {{U'\r', U'\r'}};
        return out;
      case U'n':
        out.ranges = {{U'\n', U'\n'}};
        return out;
      case U't':
        out.ranges = {{U'\t', U'\t'}};
        return out;
      case U's':
      case U'S':
        out.ranges.assign(std::begin(kSpaces), std::end(kSpaces));
        out.negated = c == U'S';
        return out;
      case U'p':
        if (take(U"{") && std::u32string_view(U"LMNPS").find(peek()) != std::u32string_view::npos && at_ + 1 < text_.size() &&
            text_[at_ + 1] == U'}') {
          out.categories = {static_cast<char>(peek())};
          at_ += 2;
          return out;
        }
        refuse("a property other than \\p{L}, \\p{M}, \\p{N}, \\p{P} and \\p{S}");
      default:
        if (c >= 0x80 || (c >= U'0' && c <= U'9') || (c >= U'A' && c <= U'Z') || (c >= U'a' && c <= U'z')) refuse("this escape");
        out.ranges = {{c, c}};
        return out;
    }
  }

  /// Behind a [.
  CharacterClass character_class() {
    CharacterClass out;
    const bool negated = take(U"^");
    bool any = false;
    while (!take(U"]")) {
      if (at_end()) refuse("a class that does not end");
      const std::optional<char32_t> first = member(out);
      any = true;
      if (!first) continue;
      char32_t last = *first;
      if (peek() == U'-' && at_ + 1 < text_.size() && text_[at_ + 1] != U']') {
        ++at_;
        CharacterClass end;
        const std::optional<char32_t> character = member(end);
        if (!character) refuse("a range that ends in a class");
        if (*character < *first) refuse("a range whose ends are reversed");
        last = *character;
      }
      out.ranges.push_back({*first, last});
    }
    if (!any) refuse("an empty class");
    out.negated = negated;
    return out;
  }

  /// A member of a class: a single character is returned, a set is added to `out`.
  std::optional<char32_t> member(CharacterClass& out) {
    if (peek() == U'[') refuse("a class inside a class");
    if (std::u32string_view(text_).substr(at_, 2) == U"&&") refuse("&& in a class");
    if (!take(U"\\")) return text_[at_++];
    const CharacterClass set = escape();
    if (set.negated) refuse("\\S in a class");
    if (set.categories.empty() && set.ranges.size() == 1 && set.ranges[0].first == set.ranges[0].last) return set.ranges[0].first;
    out.ranges.insert(out.ranges.end(), set.ranges.begin(), set.ranges.end());
    out.categories.insert(set.categories.begin(), set.categories.end());
    return std::nullopt;
  }

  std::string where_;
  Pcre2Unicode unicode_;
  std::u32string text_;
  size_t at_ = 0;
};

struct TrieNode {
  bool ends = false;
  std::map<char32_t, std::unique_ptr<TrieNode>> next;
};

/// What follows a prefix; an end inside a longer string is optional, and greedy, so that the longest string wins.
std::string trie_pattern(const TrieNode& node, int groups) {
  if (node.next.empty()) return "";
  const bool grouped = node.next.size() > 1 || node.ends;
  if (groups > kMaxTrieGroups)
    fail("added tokens: more than ", kMaxTrieGroups, " of them are prefixes of one another, which no pattern holds");
  std::string out;
  for (const auto& [c, child] : node.next)
    out += concat(out.empty() ? "" : "|", literal(c), trie_pattern(*child, groups + (grouped ? 1 : 0)));
  if (grouped) out = concat("(?:", out, ")");
  return node.ends ? out + "?" : out;
}

}  // namespace

std::string pcre2_pattern(std::string_view oniguruma, const std::string& where, Pcre2Unicode unicode) {
  return Translator(oniguruma, where, unicode).run();
}

std::string longest_of(const std::vector<std::string>& strings) {
  TrieNode root;
  for (const std::string& text : strings) {
    TrieNode* node = &root;
    for (const char32_t c : code_points(text)) {
      std::unique_ptr<TrieNode>& child = node->next[c];
      if (!child) child = std::make_unique<TrieNode>();
      node = child.get();
    }
    node->ends = true;
  }
  return concat("(", trie_pattern(root, 0), ")");
}

}  // namespace dsv4
