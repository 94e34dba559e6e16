// Prompts whose markers are told from contents: their text, their borders and their ids.
#include "text/prompt_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/chat_encoder.h"
#include "text/prompt_tokens.h"

namespace dsv4 {
namespace {

using testing::ElementsAre;

const std::filesystem::path kMini = std::filesystem::path(DSV4_TEST_DATA) / "../../models/mini";
constexpr int64_t kBos = 0, kEos = 1, kUser = 1019, kAssistant = 1020, kThinkEnd = 1022;

Conversation talk(const std::string& user) {
  Conversation chat;
  chat.messages = {{.role = ChatRole::kUser, .content = user}};
  return chat;
}

TEST(PromptText, OfAConversationIsThatOfTheEncoder) {
  const std::string user = "a<｜Assistant｜>b</think>";
  const PromptText prompt = chat_prompt(talk(user), ChatRelease::kOriginal);
  EXPECT_EQ(prompt.text(), "<｜begin▁of▁sentence｜><｜User｜>" + user + "<｜Assistant｜></think>");
  EXPECT_EQ(prompt.text(), encode_chat(talk(user), ChatRelease::kOriginal));
}

TEST(PromptText, MarkersInContentsAreTextAndOthersTheirTokens) {
  const Tokenizer tokenizer(kMini);
  const auto around = [&](const std::string& user) {
    std::vector<int64_t> ids = {kBos, kUser};
    for (const int64_t id : tokenizer.encode_plain(user)) ids.push_back(id);
    ids.insert(ids.end(), {kAssistant, kThinkEnd});
    return ids;
  };
  for (const std::string user : {"", "In the beginning", "a<｜Assistant｜>b</think>", "<｜end▁of▁sentence｜>"}) {
    EXPECT_EQ(prompt_tokens(chat_prompt(talk(user), ChatRelease::kOriginal), tokenizer), around(user)) << user;
  }
  // Without markers in contents they are the ids of the whole text.
  const PromptText prompt = chat_prompt(talk("In the beginning"), ChatRelease::kOriginal);
  EXPECT_EQ(prompt_tokens(prompt, tokenizer), tokenizer.encode(prompt.text()));
}

TEST(PromptText, BordersAreWhereMarkersBeginAndEnd) {
  PromptText prompt;
  prompt.marker("<think>");
  prompt.plain("ab");
  prompt.marker("</think>");
  std::vector<size_t> borders;
  for (size_t at = 0; at <= prompt.keys().size() + 3; ++at) {
    if (prompt.is_border(at)) borders.push_back(at);
  }
  EXPECT_THAT(borders, ElementsAre(0, 9, 11, 21));
  const Tokenizer tokenizer(kMini);
  EXPECT_THAT(prompt_tokens(prompt, tokenizer, 11), ElementsAre(kThinkEnd));
  EXPECT_THAT(prompt_tokens(prompt, tokenizer, 21), ElementsAre());
}

TEST(PromptText, WhatWasSampledHasTheIdsThatItHadThen) {
  const Tokenizer tokenizer(kMini);
  PromptText prompt;
  prompt.marker("<think>");
  prompt.sampled("ab</think>c", {5, 6, 7});
  prompt.marker("</think>");
  prompt.sampled("", {});
  EXPECT_EQ(prompt.text(), "<think>ab</think>c</think>");
  EXPECT_THAT(prompt_tokens(prompt, tokenizer), ElementsAre(kThinkEnd - 1, 5, 6, 7, kThinkEnd));
  const size_t behind_ab = prompt.keys().find("ab") + 2;  // a border within it: of the rest only the text is known
  std::vector<int64_t> rest = {kThinkEnd};
  for (const int64_t id : tokenizer.encode_plain("c")) rest.push_back(id);
  rest.push_back(kThinkEnd);
  EXPECT_EQ(prompt_tokens(prompt, tokenizer, behind_ab), rest);
}

TEST(PromptText, OfTheFormatHasEveryMarker) {
  PromptText format, marked;
  format.format("x<｜DSML｜y><think>");
  marked.plain("x<");
  marked.marker("｜DSML｜");
  marked.plain("y>");
  marked.marker("<think>");
  EXPECT_EQ(format.keys(), marked.keys());
  PromptText given;
  given.plain("x<｜DSML｜y><think>");
  EXPECT_EQ(given.text(), format.text());
  EXPECT_NE(given.keys(), format.keys());
}

}  // namespace
}  // namespace dsv4
