// Names and texts of files in messages: nothing that a terminal obeys, one line, not too long.
#include "checkpoint/quote.h"

#include <gtest/gtest.h>

#include <array>

#include "checkpoint/utf8.h"

namespace dsv4 {
namespace {

/// The characters that the table of the issue names, spelt out here once more.
bool is_dangerous(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return first <= c && c <= last; };
  return within(0x00, 0x1F) || c == 0x7F || within(0x80, 0x9F) || c == 0x2028 || c == 0x2029 || within(0x202A, 0x202E) ||
         within(0x2066, 0x2069);
}

TEST(Quote, EscapesWhatTerminalsObeyAndNothingElse) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = to_utf8(c), shown = escaped(text);
    ASSERT_EQ(shown == text, !is_dangerous(c)) << std::hex << static_cast<uint32_t>(c);
    if (!is_dangerous(c)) continue;
    for (const char byte : shown) ASSERT_TRUE(byte >= 0x20 && byte < 0x7F);
  }
  EXPECT_EQ(escaped("\x1b[31m\n\x7f"), "\\x1b[31m\\x0a\\x7f");
  EXPECT_EQ(escaped("\xC2\x9B|\xE2\x80\xAE|\xE2\x80\xA8|\xE2\x81\xA9"), "\\u009b|\\u202e|\\u2028|\\u2069");
}

TEST(Quote, BytesThatAreNoCharacterAreShownAsBytes) {
  EXPECT_EQ(escaped("caf\xE9 \x9B"), "caf\\xe9 \\x9b");
  EXPECT_EQ(escaped("\xED\xA0\x80\xF0\x9F"), "\\xed\\xa0\\x80\\xf0\\x9f");
  EXPECT_EQ(escaped("caf\xC3\xA9 \xE4\xBD\xA0\xF0\x9F\x98\x80"), "caf\xC3\xA9 \xE4\xBD\xA0\xF0\x9F\x98\x80");
}

TEST(Quote, LinesOfATextStay) { EXPECT_EQ(escaped_lines("a\tb\n\r\x1b\xC2\x85"), "a\tb\n\\x0d\\x1b\\u0085"); }

TEST(Quote, EscapingWithoutMemoryEndsWhereTheRoomEnds) {
  std::array<char, 10> out;
  EXPECT_EQ(std::string(out.data(), escape_into("ab\x1b", out)), "ab\\x1b");
  EXPECT_EQ(std::string(out.data(), escape_into("abcdefg\x1bh", out)), "abcdefg");
  EXPECT_EQ(std::string(out.data(), escape_into("\xE4\xBD\xA0\xE4\xBD\xA0\xE4\xBD\xA0\xE4\xBD\xA0", out)),
            "\xE4\xBD\xA0\xE4\xBD\xA0\xE4\xBD\xA0");
}

TEST(Quote, LongTextsKeepTheirBeginningAndTheirEnd) {
  EXPECT_EQ(shortened("0123456789abcdefghij", 20), "0123456789abcdefghij");
  EXPECT_EQ(shortened("0123456789abcdefghijk", 20), "01234567...cdefghijk");
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\xE4\xBD\xA0";
  for (size_t limit = 16; limit < 40; ++limit) {
    const std::string text = shortened(wide, limit);
    EXPECT_LE(text.size(), limit);
    EXPECT_GT(text.size(), limit - 6);
    EXPECT_FALSE(invalid_utf8(text));
  }
}

TEST(Quote, NamesAndPathsOfAnyLengthBecomeShort) {
  const std::string huge(1 << 20, '\x1b');
  EXPECT_LT(quote(huge).size(), 700u);
  EXPECT_LE(path_text(huge).size(), 400u);
  EXPECT_EQ(path_text("/a/b\n"), "/a/b\\x0a");
  EXPECT_TRUE(path_text("/first/" + std::string(5000, 'x') + "/last.bin").ends_with("x/last.bin"));
  EXPECT_TRUE(path_text("/first/" + std::string(5000, 'x') + "/last.bin").starts_with("/first/x"));
}

}  // namespace
}  // namespace dsv4
