// Text to ids from a tokenizer.json: its parts against plain searches; that ids are HF tokenizers' is tested in Python.
#include "text/text_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "dsv4/error.h"
#include "text/tokenizer_files.h"

namespace dsv4 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Ids = std::vector<int64_t>;

TextEncoder small_encoder() { return TextEncoder(parse_tokenizer_json(test::small_tokenizer().dump(), "T")); }

TEST(TextEncoder, TakesAddedTokensSplitsAndMerges) {
  const TextEncoder encoder = small_encoder();
  EXPECT_THAT(encoder.encode(""), IsEmpty());
  EXPECT_THAT(encoder.encode("the"), ElementsAre(259));
  EXPECT_THAT(encoder.encode("<|bos|>th<think>e"), ElementsAre(0, 258, 260, 2 + 'e'));
  EXPECT_THAT(encoder.encode("t1he"), ElementsAre(2 + 't', 2 + '1', 2 + 'h', 2 + 'e')) << "no merge goes over a split";
  EXPECT_THAT(encoder.encode("\xC3\xA9"), ElementsAre(2 + 0xC3, 2 + 0xA9));
  EXPECT_THAT(encoder.encode(std::string_view("\0the", 4)), ElementsAre(2, 259));
}

TEST(TextEncoder, LeavesMarkersInPlainTextAsText) {
  const TextEncoder encoder = small_encoder();
  const std::string text = "<|bos|>the<think>";
  EXPECT_THAT(encoder.encode(text), ElementsAre(0, 259, 260));
  const Ids plain = encoder.encode_plain(text);
  EXPECT_TRUE(std::all_of(plain.begin(), plain.end(), [](int64_t id) { return id >= 2 && id != 260; }));
  EXPECT_EQ(plain.size(), 7u + 1u + 6u) << "the is one token, th of think too";
}

TEST(TextEncoder, TakesMarkersOnlyWhereNoUserWroteThem) {
  const TextEncoder encoder = small_encoder();
  const std::string text = "<think>the<think>th<think>e";  // the second one, with its neighbours, is a user's
  const TextSpan written[] = {{7, 19}};
  Ids expected = {260};
  for (const int64_t id : encoder.encode_plain("the<think>th")) expected.push_back(id);
  expected.push_back(260);
  expected.push_back(2 + 'e');
  EXPECT_EQ(encoder.encode_written(text, written), expected);
  const TextSpan touching[] = {{0, 1}, {16, 17}, {25, 26}};  // a byte of each of the three is enough
  EXPECT_EQ(encoder.encode_written(text, touching), encoder.encode_plain(text));
  EXPECT_EQ(encoder.encode_written(text, {}), encoder.encode(text));
}

TEST(TextEncoder, RefusesWhatIsNotUtf8) {
  const TextEncoder encoder = small_encoder();
  for (const auto& call : {&TextEncoder::encode, &TextEncoder::encode_plain}) {
    try {
      (encoder.*call)("caf\xE9");
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("byte 3 is not UTF-8"));
    }
  }
}

TEST(TextEncoder, TakesLongRunsOfAnything) {
  // Each of these would take hours if the time grew as the square of the length.
  const TextEncoder encoder = small_encoder();
  constexpr size_t kLength = 1000000;
  for (const char* unit : {"a", " ", "1", "\n", "\xE4\xB8\xAD", "<", "the", "<thin", "a ", "\xCC\x81"}) {
    std::string text;
    while (text.size() < kLength) text += unit;
    Ids ids = encoder.encode(text);
    EXPECT_FALSE(ids.empty()) << unit;
    if (std::string(unit) == "the") {
      EXPECT_EQ(ids, Ids(text.size() / 3, 259));
    }
    if (std::string(unit) == "a") {
      EXPECT_EQ(ids, Ids(text.size(), 2 + 'a'));
    }
  }
}

TEST(TextEncoder, IsOneForManyThreads) {
  const TextEncoder encoder = small_encoder();
  const std::string text = "the <think> 123 the  other\n\nthing";
  const Ids expected = encoder.encode(text);
  std::vector<int> same(4, 0);
  std::vector<std::thread> threads;
  for (int& count : same) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) count += encoder.encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, std::vector<int>(4, 200));
}

/// A vocabulary of the 256 bytes and random merges of a few of them.
TokenizerJson random_vocabulary(std::mt19937& random, size_t merges) {
  TokenizerJson made;
  for (int byte = 0; byte < 256; ++byte) made.vocabulary.push_back(std::string(1, static_cast<char>(byte)));
  std::vector<std::string> parts = {"a", "b", "c"};
  while (made.merges.size() < merges) {
    const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
    if (left.size() + right.size() > 9) continue;
    if (std::find(made.merges.begin(), made.merges.end(), std::pair(left, right)) != made.merges.end()) continue;
    made.merges.emplace_back(left, right);
    if (std::find(parts.begin(), parts.end(), left + right) != parts.end()) continue;  // two merges may make the same token
    parts.push_back(left + right);
    made.vocabulary.push_back(left + right);
  }
  return made;
}

/// The merge of the lowest rank, of equal ones the leftmost, until there is none.
Ids plain_byte_pairs(const TokenizerJson& tokenizer, const std::string& text) {
  std::vector<std::string> symbols;
  for (const char byte : text) symbols.emplace_back(1, byte);
  for (;;) {
    size_t best = tokenizer.merges.size(), place = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = std::find(tokenizer.merges.begin(), tokenizer.merges.end(), std::pair(symbols[i], symbols[i + 1]));
      const auto rank = static_cast<size_t>(found - tokenizer.merges.begin());
      if (rank < best) {
        best = rank;
        place = i;
      }
    }
    if (best == tokenizer.merges.size()) break;
    symbols[place] += symbols[place + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols)
    ids.push_back(std::find(tokenizer.vocabulary.begin(), tokenizer.vocabulary.end(), symbol) - tokenizer.vocabulary.begin());
  return ids;
}

TEST(BytePairs, MergeAsAPlainSearchDoes) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    const TokenizerJson tokenizer = random_vocabulary(random, 1 + random() % 40);
    const BytePairs pairs(tokenizer);
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (size_t n = random() % 40; n > 0; --n) text += "abcd"[random() % 4];
      Ids ids;
      pairs.encode({text}, ids);
      ASSERT_EQ(ids, plain_byte_pairs(tokenizer, text)) << text;
    }
  }
}

TEST(AddedTokens, AreTheLeftmostAndLongest) {
  const auto token = [](int64_t id, const char* content) { return AddedToken{id, content, false, false}; };
  const std::vector<AddedToken> tokens = {token(1, "ab"), token(2, "abcd"), token(3, "bc"), token(4, "c"), token(5, "\xEF\xBD\x9C")};
  const AddedTokens finder(tokens);
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n)
      text += std::vector<std::string>{"a", "b", "c", "d", "\xEF\xBD\x9C", "\xEF\xBD"}[random() % 6];
    // Plainly: at the first place where one begins, the longest.
    size_t begin = 0;
    const AddedToken* longest = nullptr;
    for (; begin < text.size() && longest == nullptr; begin += longest == nullptr) {
      for (const AddedToken& one : tokens) {
        const bool here = std::string_view(text).substr(begin).starts_with(one.content);
        if (here && (longest == nullptr || one.content.size() > longest->content.size())) longest = &one;
      }
    }
    const AddedTokens::Found found = finder.find(text, 0);
    ASSERT_EQ(found.id, longest == nullptr ? -1 : longest->id) << text;
    ASSERT_EQ(found.begin, longest == nullptr ? text.size() : begin) << text;
    ASSERT_EQ(found.length, longest == nullptr ? 0 : longest->content.size()) << text;
  }
}

TEST(Splitter, CutsWhatAPatternMatchesAndWhatLiesBetween) {
  const Splitter splitter({"\\p{N}{1,3}", "[a-z]+"});
  EXPECT_THAT(splitter.split("ab1234-cd"), ElementsAre("ab", "123", "4", "-", "cd"));
  EXPECT_THAT(splitter.split(""), IsEmpty());
  EXPECT_THAT(Splitter({}).split("all of it"), ElementsAre("all of it"));
}

TEST(Splitter, SeesNothingBehindThePieceOfAnEarlierStep) {
  // In one expression the last space of "  7" would stay with the digit; a piece that ends there has nothing behind its spaces.
  EXPECT_THAT(Splitter({"\\p{N}+", "\\s+(?!\\S)|\\s+"}).split("a  7"), ElementsAre("a", "  ", "7"));
  EXPECT_THAT(Splitter({"\\s+(?!\\S)|\\s+"}).split("a  7"), ElementsAre("a", " ", " ", "7"));
}

}  // namespace
}  // namespace dsv4
