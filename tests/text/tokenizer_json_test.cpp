// tokenizer.json: what is read, and that everything else is refused by the name of its field.
#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dsv4/error.h"
#include "support/files.h"
#include "text/tokenizer_files.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

std::string message_of(const std::string& text) {
  try {
    parse_tokenizer_json(text, "T");
    return "accepted";
  } catch (const Error& error) {
    return error.what();
  }
}

/// The small tokenizer with the value at a JSON pointer replaced (or added).
std::string with(const std::string& pointer, const json& value) {
  json document = test::small_tokenizer();
  document[json::json_pointer(pointer)] = value;
  return message_of(document.dump());
}

std::string without(const std::string& parent, const std::string& key) {
  json document = test::small_tokenizer();
  document[json::json_pointer(parent)].erase(key);
  return message_of(document.dump());
}

TEST(TokenizerJson, IsReadAsBytes) {
  const TokenizerJson tokenizer = parse_tokenizer_json(test::small_tokenizer().dump(), "T");
  ASSERT_EQ(tokenizer.vocabulary.size(), 260u);
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(tokenizer.vocabulary[0], "<|bos|>");
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(tokenizer.vocabulary[static_cast<size_t>(2 + byte)], std::string(1, static_cast<char>(byte)));
  EXPECT_THAT(tokenizer.merges, ElementsAre(Pair("t", "h"), Pair("th", "e")));
  EXPECT_EQ(tokenizer.added_tokens.size(), 3u);
  EXPECT_EQ(tokenizer.find_added("<think>")->id, 260);
  EXPECT_FALSE(tokenizer.find_added("<think>")->special);
  EXPECT_EQ(tokenizer.find_added("the"), nullptr);
  EXPECT_EQ(tokenizer.split_patterns.size(), 2u);
}

TEST(TokenizerJson, TakesMergesInBothForms) {
  json document = test::small_tokenizer();
  document["model"]["merges"] = json::array({json::array({"t", "h"}), json::array({"th", "e"})});
  EXPECT_EQ(parse_tokenizer_json(document.dump(), "T").merges, parse_tokenizer_json(test::small_tokenizer().dump(), "T").merges);
}

TEST(TokenizerJson, DecodesAddedTokensInTheAlphabetAsBytes) {
  json document = test::small_tokenizer();
  document["added_tokens"][2]["content"] = "Ġx";  // "Ġ" is the character of a space
  const TokenizerJson tokenizer = parse_tokenizer_json(document.dump(), "T");
  EXPECT_EQ(tokenizer.added_tokens[2].content, "Ġx");
  EXPECT_EQ(tokenizer.decoded_bytes()[260], " x");
  EXPECT_EQ(tokenizer.decoded_bytes()[0], "<|bos|>");
}

TEST(TokenizerJson, ReadsTheMiniModels) {
  const TokenizerJson tokenizer =
      parse_tokenizer_json(testing_support::read_file(std::string(DSV4_TEST_DATA) + "/../../models/mini/tokenizer.json"), "T");
  EXPECT_EQ(tokenizer.size(), 1024);
  EXPECT_EQ(tokenizer.merges.size(), 760u);
  EXPECT_EQ(tokenizer.find_added("<think>")->id, 1021);
}

TEST(TokenizerJson, FieldsThatWouldChangeIdsAreRefusedByName) {
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}, {"invert", false}};
  EXPECT_THAT(with("/normalizer", {{"type", "NFC"}}), AllOf(StartsWith("T: normalizer.type"), HasSubstr("NFC")));
  EXPECT_THAT(with("/normalizer", {{"type", "Sequence"}, {"normalizers", json::array({json{{"type", "NFC"}}})}}),
              HasSubstr("normalizer.normalizers"));
  EXPECT_EQ(with("/normalizer", {{"type", "Sequence"}, {"normalizers", json::array()}}), "accepted");
  EXPECT_THAT(with("/post_processor", {{"type", "BertProcessing"}}), AllOf(HasSubstr("post_processor.type"), HasSubstr("BertProcessing")));
  EXPECT_THAT(with("/post_processor", {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, {{"type", "Strange"}}}}}),
              AllOf(HasSubstr("post_processor.processors[1].type"), HasSubstr("Strange")));
  EXPECT_THAT(with("/post_processor", {{"type", "Sequence"}, {"processors", {{{"type", "Sequence"}, {"processors", json::array()}}}}}),
              HasSubstr("found a Sequence in a Sequence"));
  EXPECT_THAT(with("/decoder", {{"type", "Metaspace"}}), HasSubstr("decoder.type"));
  EXPECT_THAT(with("/decoder", nullptr), HasSubstr("decoder"));
  EXPECT_THAT(with("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer"));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Whitespace"}}), AllOf(HasSubstr("pre_tokenizer.type"), HasSubstr("Whitespace")));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0", split), HasSubstr("pretokenizers[0].behavior"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0/invert", true), HasSubstr("invert"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0/pattern", {{"String", " "}}), HasSubstr("pattern.String"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+"), HasSubstr("pretokenizers[0].pattern.Regex"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/0/type", "Digits"), AllOf(HasSubstr("pretokenizers[0].type"), HasSubstr("Digits")));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/2/use_regex", true), HasSubstr("use_regex"));
  EXPECT_THAT(with("/pre_tokenizer/pretokenizers/2/add_prefix_space", true), HasSubstr("add_prefix_space"));
  EXPECT_THAT(with("/model/type", "Unigram"), AllOf(HasSubstr("model.type"), HasSubstr("Unigram")));
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(with("/model/unk_token", "<unk>"), HasSubstr("model.unk_token"));
  EXPECT_THAT(with("/model/continuing_subword_prefix", "##"), HasSubstr("model.continuing_subword_prefix"));
  EXPECT_THAT(with("/model/end_of_word_suffix", "</w>"), HasSubstr("model.end_of_word_suffix"));
  for (const char* flag : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
    EXPECT_THAT(with(std::string("/model/") + flag, true), HasSubstr(std::string("model.") + flag));
  }
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    EXPECT_THAT(with(std::string("/added_tokens/2/") + flag, true), HasSubstr(std::string("added_tokens[2].") + flag));
  }
  EXPECT_THAT(with("/new_field", 1), AllOf(HasSubstr("new_field"), HasSubstr("unknown field")));
  EXPECT_THAT(with("/model/new_field", 1), HasSubstr("model.new_field"));
  EXPECT_THAT(with("/added_tokens/0/new_field", 1), HasSubstr("added_tokens[0].new_field"));
}

TEST(TokenizerJson, WhatConcernsBatchesOfTrainingIsIgnoredWithANotice) {
  const json single = {{{"SpecialToken", {{"id", "<|bos|>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}};
  const json pattern = {{"type", "TemplateProcessing"},
                        {"single", single},
                        {"pair", single},
                        {"special_tokens", {{"<|bos|>", {{"id", "<|bos|>"}, {"ids", {0}}, {"tokens", {"<|bos|>"}}}}}}};
  const std::pair<const char*, json> fields[] = {
      {"truncation", {{"direction", "Right"}, {"max_length", 4}, {"strategy", "LongestFirst"}, {"stride", 0}}},
      {"padding", {{"strategy", "BatchLongest"}, {"direction", "Right"}, {"pad_id", 5}, {"pad_token", "<pad>"}}},
      {"post_processor", pattern},
      {"post_processor", {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}, {"trim_offsets", false}}, pattern}}}},
  };
  const TokenizerJson plain = parse_tokenizer_json(test::small_tokenizer().dump(), "T");
  EXPECT_TRUE(plain.notices.empty());
  for (const auto& [field, value] : fields) {
    json document = test::small_tokenizer();
    document[field] = value;
    const TokenizerJson found = parse_tokenizer_json(document.dump(), "T");
    EXPECT_THAT(found.notices, ElementsAre(AllOf(StartsWith("T: "), HasSubstr(field))));
    EXPECT_EQ(found.vocabulary, plain.vocabulary);
    EXPECT_EQ(found.merges, plain.merges);
    EXPECT_EQ(found.split_patterns, plain.split_patterns);
    EXPECT_EQ(found.added_tokens.size(), plain.added_tokens.size());
  }
  EXPECT_THAT(with("/truncation", 5), AllOf(HasSubstr("truncation"), HasSubstr("expected an object")));
}

TEST(TokenizerJson, InconsistentVocabulariesAreRefused) {
  EXPECT_THAT(without("/model/vocab", "a"), HasSubstr("model.vocab"));
  EXPECT_THAT(with("/model/vocab/a", 98), HasSubstr("twice"));
  EXPECT_THAT(with("/model/vocab/a", -1), HasSubstr("expected an integer"));
  EXPECT_THAT(with("/model/vocab/a", 1e300), HasSubstr("expected an integer"));
  EXPECT_THAT(with("/model/vocab/a", "5"), HasSubstr("expected an integer"));
  for (const char* token : {"zz", "好"}) {
    json document = test::small_tokenizer();
    document["model"]["vocab"][token] = 260;
    document["added_tokens"][2]["id"] = 261;
    EXPECT_THAT(message_of(document.dump()), AllOf(HasSubstr(token), HasSubstr("neither a byte nor the result of a merge")));
  }
  EXPECT_THAT(with("/model/vocab", json::object()), HasSubstr("byte 0"));
  EXPECT_THAT(with("/model/vocab", json::array()), HasSubstr("expected an object"));
  EXPECT_THAT(with("/model/merges/1", "th x"), HasSubstr("merges[1]"));
  EXPECT_THAT(with("/model/merges/1", "the"), HasSubstr("expected two tokens"));
  EXPECT_THAT(with("/model/merges/1", "t h e"), HasSubstr("expected two tokens"));
  EXPECT_THAT(with("/model/merges/1", {"t", "h", "e"}), HasSubstr("expected two tokens"));
  EXPECT_THAT(with("/model/merges/1", {"<|bos|>", "e"}), HasSubstr("not in the vocabulary"));
  EXPECT_THAT(without("/model", "merges"), HasSubstr("model.merges"));
}

TEST(TokenizerJson, AddedTokensMustHaveTheIdsOfHfTokenizers) {
  EXPECT_THAT(with("/added_tokens/2/id", 261), AllOf(HasSubstr("added_tokens[2].id"), HasSubstr("expected 260")));
  EXPECT_THAT(with("/added_tokens/0/id", 1), HasSubstr("expected 0"));
  EXPECT_THAT(with("/added_tokens/2/content", "<|bos|>"), HasSubstr("twice"));
  EXPECT_THAT(with("/added_tokens/2/content", ""), HasSubstr("content"));
  EXPECT_THAT(with("/added_tokens/2/content", std::string(300, 'x')), HasSubstr("300 bytes"));
  EXPECT_THAT(with("/added_tokens/2/content", "the"), HasSubstr("expected 259"));
  EXPECT_THAT(with("/added_tokens/2/special", "yes"), HasSubstr("expected true or false"));
  // A normalized token that overlaps one that is not: HF tokenizers searches twice.
  EXPECT_THAT(with("/added_tokens/2/content", "x<|b"), HasSubstr("can overlap"));
  EXPECT_THAT(with("/added_tokens/2/content", "<|bos|>!"), HasSubstr("can overlap"));
  EXPECT_EQ(with("/added_tokens/2/content", "<|think|>"), "accepted");
}

TEST(TokenizerJson, TruncatedHugeAndDeepTextIsRefused) {
  const std::string text = test::small_tokenizer().dump();
  for (size_t length = 0; length < text.size(); length += 7) EXPECT_THAT(message_of(text.substr(0, length)), StartsWith("T: ")) << length;
  EXPECT_THAT(message_of(std::string(40 << 20, ' ')), HasSubstr("expected a tokenizer.json of at most"));
  EXPECT_THAT(message_of(std::string(1000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(message_of("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message_of("{}"), HasSubstr("missing"));
}

TEST(TokenizerConfig, NamesSpecialTokensAsTextOrObject) {
  const TokenizerJson tokenizer = parse_tokenizer_json(test::small_tokenizer().dump(), "T");
  const std::string text = R"({"bos_token": {"__type": "AddedToken", "content": "<|bos|>"}, "eos_token": "<|eos|>", "pad_token": null})";
  const SpecialIds ids = special_ids(text, "C", tokenizer);
  EXPECT_EQ(ids.bos, 0);
  EXPECT_EQ(ids.eos, 1);
  EXPECT_EQ(ids.pad, -1);
  EXPECT_EQ(special_ids(R"({"bos_token": "unknown"})", "C", tokenizer).bos, -1);
  EXPECT_THROW(special_ids(R"({"bos_token": 5})", "C", tokenizer), Error);
  EXPECT_THROW(special_ids("[]", "C", tokenizer), Error);
}

TEST(TokenizerConfig, HasATemplateAsTextOrInAList) {
  EXPECT_EQ(chat_template(R"({"chat_template": "{{ x }}"})", "C"), "{{ x }}");
  EXPECT_EQ(chat_template(R"({"chat_template": [{"name": "tool", "template": "a"}, {"name": "default", "template": "b"}]})", "C"), "b");
  EXPECT_EQ(chat_template("{}", "C"), "");
  EXPECT_THROW(chat_template(R"({"chat_template": 5})", "C"), Error);
}

}  // namespace
}  // namespace dsv4
