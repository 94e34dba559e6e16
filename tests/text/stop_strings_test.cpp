// Stop strings: a text in pieces against a search in the whole of it.
#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

struct Outcome {
  std::string text;
  bool stopped;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) { return out << '"' << outcome.text << "\" " << outcome.stopped; }

Outcome in_pieces(const std::vector<std::string>& stop, const std::vector<std::string>& pieces) {
  StopStrings stream(stop);
  std::string text;
  for (const std::string& piece : pieces) text += stream.push(piece);
  const bool stopped = stream.stopped();
  return {text + stream.finish(), stopped};
}

/// The text up to the stop string that ends first, of those the longest.
Outcome searched(const std::vector<std::string>& stop, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& one : stop) {
      if (std::string_view(text).substr(0, end).ends_with(one)) longest = std::max(longest, one.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopStrings, EndsATextAcrossPieces) {
  EXPECT_EQ(in_pieces({"\n\nUser:"}, {"Hello\n", "\nUs", "er", ": and on"}), (Outcome{"Hello", true}));
  EXPECT_EQ(in_pieces({"\n\nUser:"}, {"Hello\n", "\nUs", "ual"}), (Outcome{"Hello\n\nUsual", false}));
  EXPECT_EQ(in_pieces({}, {"any", "thing"}), (Outcome{"anything", false}));
}

TEST(StopStrings, HoldsBackOnlyWhatMayBeAStopString) {
  StopStrings stream({"STOP", "OPEN"});
  EXPECT_EQ(stream.push("a ST"), "a ");
  EXPECT_EQ(stream.push("O"), "");
  EXPECT_EQ(stream.push("L"), "STOL");
  EXPECT_EQ(stream.push("STO"), "");
  EXPECT_EQ(stream.finish(), "STO");
}

TEST(StopStrings, GivesNothingAfterAStopString) {
  StopStrings stream({"x"});
  EXPECT_EQ(stream.push("axb"), "a");
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_TRUE(stream.stopped());
}

TEST(StopStrings, RefusesAnEmptyOne) { EXPECT_THROW(StopStrings({"a", ""}), Error); }

TEST(StopStrings, DoNotDependOnHowTheTextIsCut) {
  std::mt19937 random(7);
  const auto some = [&](size_t most) {
    std::string text;
    for (size_t n = 1 + random() % most; n > 0; --n) text += "ab\xE2\x80"[random() % 4];
    return text;
  };
  int stopped = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::string> stop;
    for (size_t n = 1 + random() % 3; n > 0; --n) stop.push_back(some(7));
    const std::string text = some(30);
    std::vector<std::string> pieces;
    for (size_t begin = 0; begin < text.size();) {
      const size_t length = random() % 6;
      pieces.push_back(text.substr(begin, length));
      begin += length;
    }
    const Outcome expected = searched(stop, text);
    ASSERT_EQ(in_pieces(stop, pieces), expected) << text;
    stopped += expected.stopped;
  }
  EXPECT_GT(stopped, 5000);
  EXPECT_LT(stopped, 19500);
}

}  // namespace
}  // namespace dsv4
