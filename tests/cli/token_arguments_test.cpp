// Token ids as a person types them or a file holds them.
#include "cli/token_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/files.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
using Tokens = std::vector<int64_t>;

TEST(ParseTokens, TakesCommasAndWhiteSpace) {
  EXPECT_EQ(parse_tokens("1,2,3", "--tokens"), (Tokens{1, 2, 3}));
  EXPECT_EQ(parse_tokens("7", "--tokens"), (Tokens{7}));
  EXPECT_EQ(parse_tokens("  1, 2 ,\t3\r\n4 5,", "--tokens"), (Tokens{1, 2, 3, 4, 5}));
  EXPECT_EQ(parse_tokens("0,129279,9223372036854775807", "--tokens"), (Tokens{0, 129279, 9223372036854775807}));
}

TEST(ParseTokens, LeavesTheRangeToTheModel) { EXPECT_EQ(parse_tokens("-1,5", "--tokens"), (Tokens{-1, 5})); }

TEST(ParseTokens, RefusesWhatIsNoNumber) {
  for (const char* text : {"1,x", "1.5", "0x10", "+3", "1;2", "--3", "1e3", "12abc", "9223372036854775808"}) {
    const std::string message = error_of([&] { parse_tokens(text, "--tokens"); });
    EXPECT_THAT(message, AllOf(HasSubstr("--tokens"), HasSubstr("is not a token id"))) << text;
  }
}

TEST(ParseTokens, NamesTheWrongPart) {
  EXPECT_THAT(error_of([] { parse_tokens("1,2,oops,4", "--tokens"); }), HasSubstr("\"oops\""));
}

TEST(ParseTokens, RefusesNothing) {
  for (const char* text : {"", " ", ",,", "\n"}) {
    EXPECT_THAT(error_of([&] { parse_tokens(text, "--tokens"); }), AllOf(HasSubstr("--tokens"), HasSubstr("no token ids")))
        << '"' << text << '"';
  }
}

TEST(ReadTokensFile, TakesPlainTextAndJsonArrays) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "tokens";
  for (const char* text : {"3,1,4", "3 1\n4\n", "[3, 1, 4]", " [3,\n1,\n4]\n"}) {
    write_file(file, text);
    EXPECT_EQ(read_tokens_file(file), (Tokens{3, 1, 4})) << text;
  }
}

TEST(ReadTokensFile, TakesLongLists) {
  const TemporaryDirectory directory;
  Tokens tokens;
  std::string text = "[";
  for (int64_t i = 0; i < 100000; ++i) {
    tokens.push_back(i * 7);
    text += (i == 0 ? "" : ", ") + std::to_string(i * 7);
  }
  write_file(directory.path() / "tokens.json", text + "]");
  EXPECT_EQ(read_tokens_file(directory.path() / "tokens.json"), tokens);
}

TEST(ReadTokensFile, TakesTheTokensOfAJsonObject) {
  EXPECT_EQ(tokens_of_text(" {\"text\": \"a\", \"tokens\": [3, 1,\n 2]}\n", "-"), (Tokens{3, 1, 2}));
}

TEST(ReadTokensFile, NamesTheFileInErrors) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "tokens";
  EXPECT_THAT(error_of([&] { read_tokens_file(file); }), HasSubstr(file.string()));
  EXPECT_THAT(error_of([&] { read_tokens_file(directory.path()); }), HasSubstr(directory.path().string()));
  for (const char* text :
       {"", "[]", "[1,2", "{\"ids\": [1]}", "{\"tokens\": [1.5]}", "{\"tokens\": [9223372036854775808]}", "[[1],[2]]", "hello"}) {
    write_file(file, text);
    EXPECT_THAT(error_of([&] { read_tokens_file(file); }), HasSubstr(file.string())) << text;
  }
}

}  // namespace
}  // namespace dsv4
