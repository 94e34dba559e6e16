// The class Tokenizer on a tokenizer small enough to work out its ids by hand, and what it does with folders that are not right.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <thread>

#include "checkpoint/content_hash.h"
#include "support/files.h"
#include "text/tokenizer_files.h"
#include "text/tokenizer_models.h"
#include "text/tokenizers_library.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::error_of;
using testing_support::read_file;
using testing_support::TemporaryDirectory;
using testing_support::write_file;
namespace fs = std::filesystem;

constexpr int64_t kBos = 0, kEos = 1, kTh = 258, kThe = 259, kThink = 260;

/// The id of a byte in small_tokenizer().
int64_t id(char byte) { return 2 + static_cast<unsigned char>(byte); }

class SmallTokenizer : public testing::Test {
 protected:
  SmallTokenizer() {
    write_file(folder() / "tokenizer.json", test::small_tokenizer().dump());
    write_file(folder() / "tokenizer_config.json", R"({"bos_token": "<|bos|>", "eos_token": {"content": "<|eos|>"}})");
  }

  static TokenizerModels models() {
    return make_tokenizer_models(parse_tokenizer_json(test::small_tokenizer().dump(), "T"), {.bos = kBos, .eos = kEos, .pad = kEos},
                                 "{{ template }}");
  }
  const fs::path& folder() const { return directory_.path(); }

  TemporaryDirectory directory_;
};

TEST_F(SmallTokenizer, EncodesByHand) {
  const Tokenizer tokenizer(folder());
  EXPECT_THAT(tokenizer.encode(""), IsEmpty());
  EXPECT_THAT(tokenizer.encode("the"), ElementsAre(kThe));
  // Digits first; then " th" with its space, and the last space alone.
  EXPECT_THAT(tokenizer.encode("the th 12<think>a"), ElementsAre(kThe, id(' '), kTh, id(' '), id('1'), id('2'), kThink, id('a')));
  EXPECT_THAT(tokenizer.encode("<|bos|>t<|bos|>he"), ElementsAre(kBos, id('t'), kBos, id('h'), id('e')));
  EXPECT_THAT(tokenizer.encode("<|bos"), ElementsAre(id('<'), id('|'), id('b'), id('o'), id('s')));
  EXPECT_THAT(tokenizer.encode("\xC3\xA9"), ElementsAre(id('\xC3'), id('\xA9')));
  EXPECT_THAT(tokenizer.encode(std::string("a\0b\0", 4)), ElementsAre(id('a'), id('\0'), id('b'), id('\0')));
  EXPECT_THAT(tokenizer.encode_plain("<think>"), ElementsAre(id('<'), kTh, id('i'), id('n'), id('k'), id('>')));
  EXPECT_EQ(tokenizer.bos(), kBos);
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(tokenizer.added("<think>"), kThink);
  EXPECT_EQ(tokenizer.added("the"), std::nullopt);  // a word, not an added token
}

TEST_F(SmallTokenizer, DecodesBytesAndLeavesSpecialTokensOut) {
  const Tokenizer tokenizer(folder());
  const std::vector<int64_t> ids = {kBos, kThe, id('\xC3'), id('\xA9'), kThink, id('\xFF'), kEos};
  EXPECT_EQ(tokenizer.decode(ids), "the\xC3\xA9<think>\xEF\xBF\xBD");
  EXPECT_EQ(tokenizer.decode(ids, false), "<|bos|>the\xC3\xA9<think>\xEF\xBF\xBD<|eos|>");
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{-1, 261, 1000000, kTh}), "th");
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST_F(SmallTokenizer, StreamsWholeCharactersOnly) {
  const Tokenizer tokenizer(folder());
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.push(kBos), "");
  EXPECT_EQ(stream.push(id('a')), "a");
  EXPECT_EQ(stream.push(id('\xF0')), "");
  EXPECT_EQ(stream.push(id('\x9F')), "");
  EXPECT_EQ(stream.push(id('\x98')), "");
  EXPECT_EQ(stream.push(id('\x80')), "\xF0\x9F\x98\x80");
  EXPECT_EQ(stream.push(id('\xE4')), "");
  EXPECT_EQ(stream.push(kThe), "\xEF\xBF\xBDthe");  // the character will not come
  EXPECT_EQ(stream.push(id('\xE4')), "");
  EXPECT_EQ(stream.push(id('\xBD')), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST_F(SmallTokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer(folder());
  EXPECT_THAT(error_of([&] { tokenizer.encode("ab\xFF"); }), AllOf(HasSubstr("byte 2"), HasSubstr("UTF-8")));
  EXPECT_THAT(tokenizer.encode("the"), ElementsAre(kThe));  // it works on
}

TEST_F(SmallTokenizer, MayBeUsedByThreads) {
  const Tokenizer tokenizer(folder());
  const std::vector<int64_t> expected = tokenizer.encode("the th the");
  std::vector<std::vector<int64_t>> found(8);
  {
    std::vector<std::jthread> threads;
    for (auto& ids : found)
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) ids = tokenizer.encode("the th the");
      });
  }
  EXPECT_THAT(found, Each(expected));
}

TEST_F(SmallTokenizer, StatesItsFactsInTheModels) {
  const TokenizerModels made = models();
  for (const auto& model : {made.tokenizer, made.detokenizer}) {
    EXPECT_EQ(model->get_rt_info<std::string>("bos_token_id"), "0");
    EXPECT_EQ(model->get_rt_info<std::string>("eos_token_id"), "1");
    EXPECT_EQ(model->get_rt_info<std::string>("pad_token_id"), "1");
    EXPECT_EQ(model->get_rt_info<std::string>("chat_template"), "{{ template }}");
    EXPECT_EQ(model->get_rt_info<std::string>("openvino_tokenizers_version"), "2026.4.1.0");
  }
}

TEST_F(SmallTokenizer, SaysWhatIsWrongWithAFolder) {
  const std::string json = read_file(folder() / "tokenizer.json");
  EXPECT_THAT(error_of([] { Tokenizer(fs::path("/nowhere")); }),
              AllOf(HasSubstr("/nowhere/tokenizer.json: not found"), HasSubstr("--tokens")));
  write_file(folder() / "tokenizer.json", json.substr(0, json.size() / 2));
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), HasSubstr("tokenizer.json"));
  write_file(folder() / "tokenizer.json", json);
  write_file(folder() / "tokenizer_config.json", "[]");
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), HasSubstr("tokenizer_config.json"));
  fs::remove(folder() / "tokenizer_config.json");
  EXPECT_EQ(Tokenizer(folder()).bos(), -1);
}

/// What the folder's list says of its files now.
void list_files(const fs::path& folder) {
  nlohmann::json files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string(), bytes = read_file(entry.path());
    if (name != "dsv4_files.json") files[name] = {{"bytes", bytes.size()}, {"xxh3_128", content_hash(bytes).hex()}};
  }
  write_file(folder / "dsv4_files.json", nlohmann::json{{"files", files}}.dump());
}

TEST_F(SmallTokenizer, FilesOtherThanListedAreRefused) {
  list_files(folder());
  EXPECT_THAT(Tokenizer(folder()).encode("the"), ElementsAre(kThe));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    SCOPED_TRACE(name);
    const std::string bytes = read_file(folder() / name);
    const auto refused = [&](const std::string& damaged, const char* what) {
      write_file(folder() / name, damaged);
      EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }),
                  AllOf(HasSubstr(name), HasSubstr(what), HasSubstr("(dsv4_files.json); copy the folder again")));
    };
    refused(bytes.substr(0, 1), "has 1 bytes instead of");
    refused(bytes + " ", "bytes instead of");
    std::string other = bytes;
    other[other.find("eos")] = 'E';
    refused(other, "has other contents");
    write_file(folder() / name, bytes);
  }
  EXPECT_THAT(Tokenizer(folder()).encode("the"), ElementsAre(kThe));
}

TEST_F(SmallTokenizer, FilesThatAreNoFilesAreNotWaitedFor) {
  fs::remove(folder() / "tokenizer.json");
  ASSERT_EQ(::mkfifo((folder() / "tokenizer.json").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), AllOf(HasSubstr("tokenizer.json"), HasSubstr("is not a regular file")));
}

TEST(TokenizersLibrary, IsTheOneThatTheEnvironmentNames) {
  EXPECT_TRUE(fs::is_regular_file(tokenizers_library()));
  ::setenv("DSV4_TOKENIZERS_LIBRARY", "/nowhere/lib.so", 1);
  EXPECT_THAT(error_of([] { tokenizers_library(); }),
              AllOf(HasSubstr("DSV4_TOKENIZERS_LIBRARY=/nowhere/lib.so"), HasSubstr("no such file")));
  ::unsetenv("DSV4_TOKENIZERS_LIBRARY");
}

TEST(TokenizerModels, OfACheckpointAreNoneWithoutTokenizerJsonAndRefusedWithTooManyIds) {
  EXPECT_FALSE(make_tokenizer_models(TokenizerTexts{}, "C", 512).has_value());
  const std::string text = test::small_tokenizer().dump();
  const TokenizerTexts texts = {.tokenizer = &text};
  ASSERT_TRUE(make_tokenizer_models(texts, "C", 261).has_value());
  EXPECT_THAT(make_tokenizer_models(texts, "C", 261)->notices, IsEmpty());
  // 260 is an added token; 259 is a word of the vocabulary.
  EXPECT_THAT(make_tokenizer_models(texts, "C", 260)->notices,
              ElementsAre(AllOf(HasSubstr("C/tokenizer.json"),
                                HasSubstr("\"<think>\" has the id 260, which a model of 260 tokens does not have"))));
  EXPECT_THAT(error_of([&] { make_tokenizer_models(texts, "C", 259); }), AllOf(HasSubstr("C/tokenizer.json"), HasSubstr("less than 259")));
}

TEST(TokenizerModels, PadWithAnIdThatTheModelHas) {
  nlohmann::json document = test::small_tokenizer();
  document["added_tokens"].push_back({{"id", 261},
                                      {"content", "<pad>"},
                                      {"single_word", false},
                                      {"lstrip", false},
                                      {"rstrip", false},
                                      {"normalized", false},
                                      {"special", true}});
  const std::string text = document.dump(), config = R"({"bos_token": "<|bos|>", "eos_token": "<|eos|>", "pad_token": "<pad>"})";
  const TokenizerTexts texts = {.tokenizer = &text, .tokenizer_config = &config};
  EXPECT_EQ(make_tokenizer_models(texts, "C", 262)->tokenizer->get_rt_info<std::string>("pad_token_id"), "261");
  EXPECT_EQ(make_tokenizer_models(texts, "C", 261)->tokenizer->get_rt_info<std::string>("pad_token_id"), "1");
}

}  // namespace
}  // namespace dsv4
