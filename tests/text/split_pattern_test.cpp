// Patterns of pre-tokenizers: what is refused, and the form of what is accepted. That the result means the same is tested against HF tokenizers (Python).
#include "text/split_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string refusal(const std::string& pattern) {
  try {
    return "accepted as " + pcre2_pattern(pattern, "W");
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(SplitPattern, KeepsLiteralsAndClassesAndWritesThemWithoutAmbiguity) {
  EXPECT_EQ(pcre2_pattern("ab|c", "W"), "ab|c");
  EXPECT_EQ(pcre2_pattern("[a-z!]{1,3}", "W"), "[a-z\\!]{1,3}");
  EXPECT_EQ(pcre2_pattern("[一-龥぀-ゟ]+", "W"), "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}]+");
  EXPECT_EQ(pcre2_pattern("a(?!b)(?=c)(?:d|e)?", "W"), "a(?!b)(?=c)(?:d|e)?");
  EXPECT_EQ(pcre2_pattern("[\r\n\\]\\-]", "W"), "[\\x{D}\\x{A}\\]\\-]");
}

TEST(SplitPattern, SpellsWhiteSpaceWithoutTheMongolianVowelSeparator) {
  for (const char* pattern : {"\\s", "[\\s]", "\\S", "[^\\s]"}) {
    EXPECT_THAT(pcre2_pattern(pattern, "W"), HasSubstr("\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}")) << pattern;
    EXPECT_THAT(pcre2_pattern(pattern, "W"), Not(HasSubstr("180E"))) << pattern;
    EXPECT_THAT(pcre2_pattern(pattern, "W"), Not(HasSubstr("\\s"))) << pattern;
  }
}

TEST(SplitPattern, SpellsCategoriesByTheOthersAndTheCodePointsOfUnicode17) {
  EXPECT_THAT(pcre2_pattern("\\p{N}", "W"), StartsWith("[^\\p{L}\\p{M}\\p{P}\\p{S}\\p{Z}\\p{C}\\x{88F}"));
  EXPECT_THAT(pcre2_pattern("[\\p{L}\\p{M}]", "W"), StartsWith("[^\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\x{88F}"));
  EXPECT_THAT(pcre2_pattern("[^\\p{L}]", "W"), StartsWith("[\\p{M}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\x{88F}"));
  EXPECT_THAT(pcre2_pattern("[^\\n\\p{L}]", "W"), StartsWith("(?:(?![\\x{A}])[\\p{M}"));
  EXPECT_THAT(pcre2_pattern("[a\\p{L}]", "W"), StartsWith("(?:[a]|[^\\p{M}"));
}

TEST(SplitPattern, RefusesWhatItDoesNotKnow) {
  for (const char* pattern :
       {"^a",      "a$",      ".",       "a.b",   "\\d",   "\\w+",        "\\b",    "\\p{Lu}", "\\p{Han}", "\\P{L}",  "\\pL", "(a)",
        "(?i:a)",  "(?<=a)b", "(?<!a)b", "(?>a)", "a++",   "a*?",         "a{2}+",  "{2}",     "a{",       "a{,2}",   "a{2",  "a{3,2}",
        "a{1001}", "[a",      "[]",      "[^]",   "[[a]]", "[[:alpha:]]", "[a&&b]", "[b-a]",   "[a-\\s]",  "[\\S]",   "\\",   "[\\",
        "(?:a",    "a)",      "",        "a|",    "|a",    "(?:)",        "(?!)",   "\\1",     "\\x41",    "\\u0041", "a]",   "a}"}) {
    EXPECT_THAT(refusal(pattern), StartsWith("W: ")) << pattern;
    EXPECT_THAT(refusal(pattern), HasSubstr("not supported")) << pattern;
  }
}

TEST(SplitPattern, RefusesWhatCanMatchNothing) {
  for (const char* pattern : {"a*", "a?", "a{0,2}", "\\s*", "(?:a*|b)", "(?:a|b)?", "(?!a)", "a|b*", "(?:a*)+", "(?=a)+"}) {
    EXPECT_THAT(refusal(pattern), HasSubstr("match nothing")) << pattern;
  }
  EXPECT_EQ(pcre2_pattern("a*b", "W"), "a*b");
}

TEST(SplitPattern, RefusesHugeAndDeepAndBrokenInput) {
  EXPECT_THAT(refusal(std::string(70000, 'a')), HasSubstr("70000 bytes"));
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "(?:";
  EXPECT_THAT(refusal(deep), HasSubstr("nested"));
  EXPECT_THAT(refusal("a\xFF"), HasSubstr("not UTF-8"));
}

// ECMAScript's alternation takes the first alternative that matches, as PCRE2's does.
TEST(LongestOf, FindsTheLongestAtTheLeftmostPlace) {
  const std::regex pattern(longest_of({"<a>", "<ab>", "<a", "b", "<abc>d", "x.y"}));
  const std::pair<const char*, const char*> cases[] = {{"zz<abc>d", "<abc>d"}, {"<abc>", "<a"}, {"<a><ab>", "<a>"},
                                                       {"<<ab>", "<ab>"},      {"ab<a", "b"},   {"xzy x.y", "x.y"}};
  for (const auto& [text, expected] : cases) {
    std::cmatch match;
    ASSERT_TRUE(std::regex_search(text, match, pattern)) << text;
    EXPECT_EQ(match.str(), expected) << text;
  }
  EXPECT_FALSE(std::regex_search("xzy <", pattern));
}

TEST(LongestOf, RefusesMorePrefixesOfOneAnotherThanPatternsNest) {
  std::vector<std::string> prefixes;
  for (size_t i = 1; i < 250; ++i) prefixes.emplace_back(i, 'a');
  EXPECT_THROW(longest_of(prefixes), Error);
}

TEST(SplitPattern, SpellsCategoriesForAnOlderPcre2WithWhatUnicodeAssignedSince) {
  const auto older = [](const char* pattern) { return pcre2_pattern(pattern, "W", Pcre2Unicode::kUntil16); };
  // U+1C89, a letter of Unicode 16: a letter that the class has to name.
  EXPECT_THAT(older("[\\p{L}\\p{M}]+"),
              testing::AllOf(StartsWith("[\\p{L}\\p{M}"), HasSubstr("\\x{1C89}-\\x{1C8A}"), testing::EndsWith("]+")));
  EXPECT_THAT(older("[^\\p{N}a]"), testing::AllOf(StartsWith("[^\\p{N}"), Not(HasSubstr("\\x{1C89}")), testing::EndsWith("a]")));
  EXPECT_EQ(older("[a-z]"), pcre2_pattern("[a-z]", "W"));
}

}  // namespace
}  // namespace dsv4
