// Prompts beside those of DeepSeek's own encoder (tests/data/encoding); rules and refusals are in tests/cli/test_encode_chat.py.
#include "text/chat_encoder.h"

#include <gtest/gtest.h>

#include "checkpoint/json_text.h"
#include "dsv4/error.h"
#include "support/files.h"
#include "text/chat_json.h"

namespace dsv4 {
namespace {

using nlohmann::ordered_json;
using testing_support::read_file;

std::string prompt_of(const ordered_json& chat, ChatRelease release = ChatRelease::kOriginal) {
  return encode_chat(read_chat_json(json_text(chat), "C").chat, release);
}

TEST(ChatEncoder, MakesTheConversationsOfDeepSeeksEncoder) {
  const ordered_json cases = parse_json(read_file(std::string(DSV4_TEST_DATA) + "/encoding/cases.json"))["encode"];
  ASSERT_EQ(cases.size(), 60u);
  for (const ordered_json& one : cases) EXPECT_EQ(prompt_of(one), one["prompt"].get<std::string>());
}

TEST(ChatEncoder, MakesThePublishedConversations) {
  const char* modes[] = {"thinking", "thinking", "thinking", "chat"};  // as the encoder's own tests call it
  for (int number = 1; number <= 4; ++number) {
    const std::string place = std::string(DSV4_TEST_DATA) + "/encoding/test_";
    ordered_json chat = parse_json(read_file(place + "input_" + std::to_string(number) + ".json"));
    if (chat.is_array()) chat = {{"messages", chat}};
    chat["thinking_mode"] = modes[number - 1];
    EXPECT_EQ(prompt_of(chat), read_file(place + "output_" + std::to_string(number) + ".txt")) << number;
  }
}

TEST(ChatEncoder, KnowsWhatStandsInTheConversation) {
  const ordered_json chat =
      parse_json(R"({"thinking_mode": "thinking", "tools": [{"type": "function", "function": {"name": "F"}}], "messages": [
      {"role": "system", "content": "S"}, {"role": "user", "content": "<｜Assistant｜>"}, {"role": "assistant", "reasoning_content": "R", "content": "C",
       "tool_calls": [{"id": "1", "type": "function", "function": {"name": "N", "arguments": "{\"K\": \"V\", \"L\": [1]}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "T"}, {"role": "user", "content": "U"}]})");
  const RenderedChat rendered = render_chat(read_chat_json(json_text(chat), "C").chat, ChatRelease::kOriginal);
  std::vector<std::string> parts;
  for (const TextSpan& span : rendered.written) parts.push_back(rendered.text.substr(span.begin, span.end - span.begin));
  EXPECT_EQ(parts, (std::vector<std::string>{"S", R"({"name": "F"})", "<｜Assistant｜>", "R", "C", "N", "K", "V", "L", "[1]", "T", "U"}));
  EXPECT_EQ(rendered.text, encode_chat(read_chat_json(json_text(chat), "C").chat, ChatRelease::kOriginal));
}

TEST(ChatEncoder, EffortIsWordedByTheRelease) {
  const auto original = [](ReasoningEffort effort) { return effort_text(effort, ChatRelease::kOriginal); };
  const auto later = [](ReasoningEffort effort) { return effort_text(effort, ChatRelease::k0731); };
  EXPECT_EQ(original(ReasoningEffort::kLow), "");
  EXPECT_EQ(original(ReasoningEffort::kHigh), "");
  EXPECT_EQ(later(ReasoningEffort::kLow), "");
  EXPECT_EQ(later(ReasoningEffort::kHigh), original(ReasoningEffort::kMax));
  EXPECT_TRUE(original(ReasoningEffort::kMax).starts_with("Reasoning Effort: Absolute maximum "));
  EXPECT_TRUE(later(ReasoningEffort::kMax).starts_with("Reasoning Effort: Beyond maximum "));
}

TEST(ChatEncoder, ParametersOfACallAreItsMembersOrItsText) {
  const PyJson::Object members = call_parameters(R"({"a": 1e5, "b": "x"})");
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].key, "a");
  EXPECT_EQ(members[0].value.dump(), "100000.0");
  for (const char* text : {"", "[1]", "{\"a\": "}) {
    const PyJson::Object whole = call_parameters(text);
    ASSERT_EQ(whole.size(), 1u) << text;
    EXPECT_EQ(whole[0].key, "arguments");
    EXPECT_EQ(*whole[0].value.as<std::string>(), text);
  }
}

TEST(ChatEncoder, AConversationMadeInCodeIsEncodedLikeAReadOne) {
  Conversation chat;
  chat.thinking = true;
  chat.messages.resize(3);
  chat.messages[0].content = "a";
  chat.messages[1].role = ChatRole::kAssistant;
  chat.messages[1].content = "b";
  chat.messages[1].reasoning_content = "r";
  chat.messages[2].content = "c";
  EXPECT_EQ(encode_chat(chat, ChatRelease::kOriginal),
            "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>b<｜end▁of▁sentence｜><｜User｜>c<｜Assistant｜><think>");
}

TEST(ChatEncoder, MoreBytesThanAreReadAreRefused) { EXPECT_THROW(read_chat_json(std::string(kMostChatBytes + 1, ' '), "C"), Error); }

}  // namespace
}  // namespace dsv4
