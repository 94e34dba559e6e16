// The class Tokenizer on a tokenizer small enough to work out its ids by hand, and what it does with folders that are not right.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <random>
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
    for (const auto& [name, bytes] : models().files()) write_file(folder() / name, bytes);
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
  EXPECT_EQ(tokenizer.bos(), kBos);
  EXPECT_EQ(tokenizer.size(), 261);
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
  const std::string xml = read_file(folder() / "openvino_tokenizer.xml");
  EXPECT_THAT(error_of([] { Tokenizer(fs::path("/nowhere")); }),
              AllOf(HasSubstr("/nowhere/openvino_tokenizer.xml"), HasSubstr("--tokens")));
  write_file(folder() / "openvino_tokenizer.xml", xml.substr(0, xml.size() / 2));
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), AllOf(HasSubstr("openvino_tokenizer.xml"), HasSubstr("cannot load")));
  write_file(folder() / "openvino_tokenizer.xml", xml);
  // A detokenizer that is none.
  fs::copy_file(folder() / "openvino_tokenizer.xml", folder() / "openvino_detokenizer.xml", fs::copy_options::overwrite_existing);
  fs::copy_file(folder() / "openvino_tokenizer.bin", folder() / "openvino_detokenizer.bin", fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), AllOf(HasSubstr("openvino_detokenizer.xml"), HasSubstr("is not a detokenizer")));
  fs::remove(folder() / "openvino_detokenizer.bin");
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), AllOf(HasSubstr("openvino_detokenizer.bin"), HasSubstr("not found")));
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

TEST_F(SmallTokenizer, DamagedModelsAreNeverGivenToTheLibrary) {
  list_files(folder());
  EXPECT_THAT(Tokenizer(folder()).encode("the"), ElementsAre(kThe));
  std::mt19937 random(7);
  for (const char* name : {"openvino_tokenizer.xml", "openvino_tokenizer.bin", "openvino_detokenizer.xml", "openvino_detokenizer.bin"}) {
    SCOPED_TRACE(name);
    const std::string bytes = read_file(folder() / name);
    const auto refused = [&](const std::string& damaged, const char* what) {
      write_file(folder() / name, damaged);
      EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }),
                  AllOf(HasSubstr(name), HasSubstr(what), HasSubstr("(dsv4_files.json); copy the folder again")));
    };
    refused(bytes.substr(0, 1), "has 1 bytes instead of");
    refused("", "has 0 bytes instead of");
    refused(bytes + "x", "bytes instead of");
    refused(std::string(bytes.size(), '\xff'), "has other contents");
    for (int i = 0; i < 20; ++i) {
      std::string damaged = bytes;
      damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
      refused(damaged, "has other contents");
    }
    write_file(folder() / name, bytes);
  }
  EXPECT_THAT(Tokenizer(folder()).encode("the"), ElementsAre(kThe));
}

TEST_F(SmallTokenizer, StringsOfUnlistedModelsStayWithinTheirBounds) {
  // The constants are not compressed: begins and ends lie in the file as they are. The largest offsets are those of the ends of the vocabulary and merges.
  for (const char* name : {"openvino_tokenizer.bin", "openvino_detokenizer.bin"}) {
    SCOPED_TRACE(name);
    const std::string bytes = read_file(folder() / name);
    const std::string offset = {char(200), 0, 0, 0};  // of a string in the middle of the vocabulary
    const size_t at = bytes.find(offset);
    ASSERT_NE(at, bytes.npos);
    for (const std::string& damaged : {std::string("\xff\xff\xff\x7f"), std::string("\xff\xff\xff\xff"), std::string("\0\0\x01\0", 4)}) {
      write_file(folder() / name, std::string(bytes).replace(at, 4, damaged));
      EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }),
                  AllOf(HasSubstr("tokenizer.xml"), HasSubstr("damaged"), HasSubstr("copy the folder again")));
    }
    write_file(folder() / name, bytes);
  }
  for (const char* name : {"openvino_tokenizer.xml", "openvino_detokenizer.xml"}) {
    const std::string xml = read_file(folder() / name);
    for (const std::string& other : {std::string(), std::string("<"), std::string("\x08\x09onnx"), "<html>" + xml}) {
      write_file(folder() / name, other);
      EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }),
                  AllOf(HasSubstr(name), HasSubstr("is no model of OpenVINO's; copy the folder again")));
    }
    write_file(folder() / name, xml);
  }
}

TEST_F(SmallTokenizer, ModelsThatAreNoFilesAreNotWaitedFor) {
  fs::remove(folder() / "openvino_tokenizer.bin");
  ASSERT_EQ(::mkfifo((folder() / "openvino_tokenizer.bin").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { Tokenizer{folder()}; }), AllOf(HasSubstr("openvino_tokenizer.bin"), HasSubstr("is not a regular file")));
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
