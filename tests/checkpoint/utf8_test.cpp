// UTF-8 against Unicode's own examples (The Unicode Standard, section 3.9, tables 3-7 to 3-11).
#include "checkpoint/utf8.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

const std::string kR = "\xEF\xBF\xBD";

TEST(Utf8, AcceptsEveryCodePointAndNothingElseInItsRanges) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    const std::string text = to_utf8(c);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    ASSERT_EQ(invalid_utf8(text).has_value(), surrogate) << std::hex << static_cast<uint32_t>(c);
    if (!surrogate) {
      ASSERT_EQ(code_points(text), std::u32string(1, c));
    }
  }
  for (const char* bad : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE4\xBD", "\xF0\x9F\x98"}) {
    EXPECT_EQ(invalid_utf8(bad), 0u) << bad;
  }
  EXPECT_EQ(invalid_utf8("ab\xC3\xA9\xFFz"), 4u);
}

TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), kR + kR + kR + kR + kR + kR + kR + kR + "A");   // table 3-8
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), kR + kR + kR + kR + kR + kR + kR + kR + "A");   // table 3-9
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), kR + kR + kR + kR + kR + "A" + kR + kR + "B");  // table 3-10
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), kR + kR + kR + kR + "A");                       // table 3-11
  EXPECT_EQ(replace_invalid_utf8(""), "");
}

TEST(Utf8, KnowsWhatFurtherBytesCouldComplete) {
  const std::pair<const char*, size_t> cases[] = {
      {"", 0},         {"a", 0},        {"a\xC3", 1},        {"\xC3\xA9", 0},         {"a\xE4", 1}, {"a\xE4\xBD", 2}, {"\xE4\xBD\xA0", 0},
      {"\xF0", 1},     {"\xF0\x9F", 2}, {"\xF0\x9F\x98", 3}, {"\xF0\x9F\x98\x80", 0}, {"\x80", 0},  {"\xE0\x80", 0},  {"\xED\xA0", 0},
      {"\xF4\x90", 0}, {"\xC3\xC3", 1}, {"\xFF", 0},         {"\x80\x80\x80\x80", 0}};
  for (const auto& [text, held] : cases) EXPECT_EQ(unfinished_utf8(text), held) << replace_invalid_utf8(text);
}

}  // namespace
}  // namespace dsv4
