// Which name a mistyped one is taken for, and numbers of bytes and seconds as people read them.
#include "cli/suggestion.h"

#include <gtest/gtest.h>

#include "checkpoint/amounts.h"
#include "cli/number_text.h"

namespace dsv4 {
namespace {

const std::vector<std::string> kOptions = {"--tokens", "--tokens-file", "--temperature", "--top-p", "-n", "--no-bos"};

std::string meant(const std::string& typed) {
  const std::string text = did_you_mean(typed, kOptions, "HELP");
  EXPECT_TRUE(text.ends_with("ee HELP")) << text;
  const size_t begin = text.find("mean "), end = text.find('?');
  return begin == std::string::npos ? "" : text.substr(begin + 5, end - begin - 5);
}

TEST(DidYouMean, TakesOneSlipInThreeLetters) {
  EXPECT_EQ(meant("--token"), "--tokens");             // left out
  EXPECT_EQ(meant("--tokenns"), "--tokens");           // twice
  EXPECT_EQ(meant("--temperatrue"), "--temperature");  // swapped
  EXPECT_EQ(meant("--topp"), "--top-p");
  EXPECT_EQ(meant("--tokens_file"), "--tokens-file");
  EXPECT_EQ(meant("--temper"), "--temperature");  // a beginning
}

TEST(DidYouMean, IsSilentWhereNothingIsNear) {
  for (const char* typed : {"-x", "-N", "--fast", "--threads", "x", ""}) EXPECT_EQ(meant(typed), "") << typed;
  EXPECT_EQ(meant("--" + std::string(100000, 't')), "");
}

TEST(ByteText, HasTheUnitThatFits) {
  EXPECT_EQ(byte_text(0), "0 bytes");
  EXPECT_EQ(byte_text(999), "999 bytes");
  EXPECT_EQ(byte_text(2500), "2.50 kB");
  EXPECT_EQ(byte_text(159'609'485'896), "159.61 GB");
  EXPECT_EQ(byte_text(1'600'000'000'000'000), "1600.00 TB");
}

TEST(CountText, IsInWords) {
  EXPECT_EQ(count_text(7), "7");
  EXPECT_EQ(count_text(3'400'000), "3.40 million");
  EXPECT_EQ(count_text(284'000'000'000), "284.00 billion");
}

TEST(ThreeDigits, AreThreeWhateverTheSize) {
  EXPECT_EQ(three_digits(0.0212432), "0.0212");
  EXPECT_EQ(three_digits(8.5), "8.5");
  EXPECT_EQ(three_digits(259.16), "259");
  EXPECT_EQ(three_digits(999.7), "1000");
  EXPECT_EQ(three_digits(1234.4), "1230");
  EXPECT_EQ(three_digits(0.0), "0");
  EXPECT_EQ(three_digits(-1234.4), "-1230");
}

}  // namespace
}  // namespace dsv4
