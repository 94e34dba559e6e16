// A scanner of UTF-8, one character at a time.
#include "checkpoint/utf8.h"

namespace dsv4 {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Scan {
  size_t length;  // of the character, or of the maximal invalid part: at least 1
  enum { kValid, kInvalid, kUnfinished } kind;
};

/// The character at the beginning of `bytes`, which is not empty. The second byte's range excludes overlong forms, surrogates and what lies
/// above U+10FFFF (Unicode, table 3-7).
Scan scan(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {1, Scan::kValid};
  const size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
  if (length == 0) return {1, Scan::kInvalid};
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {i, Scan::kUnfinished};
    if (at(i) < (i == 1 ? low : 0x80) || at(i) > (i == 1 ? high : 0xBF)) return {i, Scan::kInvalid};
  }
  return {length, Scan::kValid};
}

}  // namespace

std::optional<size_t> invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Scan part = scan(text.substr(i));
    if (part.kind != Scan::kValid) return i;
    i += part.length;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const Scan part = scan(bytes.substr(i));
    out += part.kind == Scan::kValid ? bytes.substr(i, part.length) : kReplacement;
    i += part.length;
  }
  return out;
}

size_t unfinished_utf8(std::string_view bytes) {
  // An unfinished character is its lead byte and at most two others.
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const std::string_view tail = bytes.substr(bytes.size() - back);
    if ((static_cast<unsigned char>(tail[0]) & 0xC0) == 0x80) continue;
    const Scan part = scan(tail);
    return part.kind == Scan::kUnfinished && part.length == back ? back : 0;
  }
  return 0;
}

Character first_character(std::string_view text) {
  const Scan part = scan(text);
  if (part.kind != Scan::kValid) return {std::nullopt, part.length};
  auto c = static_cast<char32_t>(static_cast<unsigned char>(text[0]));
  if (part.length > 1) c &= 0x7Fu >> part.length;
  for (size_t k = 1; k < part.length; ++k) c = c << 6 | (static_cast<unsigned char>(text[k]) & 0x3Fu);
  return {c, part.length};
}

std::u32string code_points(std::string_view valid) {
  std::u32string out;
  while (!valid.empty()) {
    const Character character = first_character(valid);
    out += character.code.value_or(U'\uFFFD');
    valid.remove_prefix(character.bytes);
  }
  return out;
}

std::string to_utf8(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) return {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  return {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
}

}  // namespace dsv4
