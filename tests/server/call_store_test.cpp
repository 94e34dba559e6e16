// Turns with calls that come back as clients send them: what was sampled stands in the prompt again, unless something else is said.
#include "server/call_store.h"

#include <gtest/gtest.h>

#include "text/chat_encoder.h"

namespace dsv4 {
namespace {

constexpr const char* kSampled = "Hm.</think>Let me see.\n\n<｜DSML｜tool_calls> f g";  // the spelling is the model's own

std::shared_ptr<const SampledAnswer> sampled() {
  auto answer = std::make_shared<SampledAnswer>();
  answer->thinking = true;
  answer->text = kSampled;
  answer->ids = {7, 8, 9};
  return answer;
}

CompletionMessage given() {
  CompletionMessage message;
  message.reasoning = "Hm.";
  message.content = "Let me see.";
  message.calls = {{"c0", "f", R"({"a": 1.5, "b": {"c": "d", "e": []}})"}, {"c1", "g", "{}"}};
  return message;
}

ChatMessage of_role(ChatRole role, const std::string& content) {
  ChatMessage message;
  message.role = role;
  message.content = content;
  return message;
}

/// The conversation as a client sends it back: without reasoning, calls and keys in another order.
Conversation sent_back() {
  Conversation chat;
  chat.thinking = true;
  chat.messages = {of_role(ChatRole::kSystem, "S"), of_role(ChatRole::kUser, "U"), of_role(ChatRole::kAssistant, "Let me see."),
                   of_role(ChatRole::kTool, "R")};
  chat.messages[0].tools.emplace_back(std::string("T"));
  chat.messages[2].tool_calls = {{"c1", "g", call_parameters("{}")},
                                 {"c0", "f", call_parameters(R"({"b": {"e": [], "c": "d"}, "a": 1.50})")}};
  return chat;
}

class Calls : public testing::Test {
 protected:
  Calls() { store_.keep(given(), sampled()); }
  std::string prompt(Conversation chat) const {
    store_.restore(chat);
    return encode_chat(chat, ChatRelease::kOriginal);
  }
  bool replays(const Conversation& chat) const { return prompt(chat).find(kSampled) != std::string::npos; }

  CallStore store_;
};

TEST_F(Calls, StandAsTheyWereSampled) {
  Conversation chat = sent_back();
  EXPECT_NE(prompt(chat).find(std::string("<｜Assistant｜><think>") + kSampled + "<｜end▁of▁sentence｜><｜User｜><tool_result>R"),
            std::string::npos);
  store_.restore(chat);
  const PromptText rendered = chat_prompt(chat, ChatRelease::kOriginal);
  ASSERT_EQ(rendered.sampled().size(), 1u);
  PromptText alone;
  alone.format(kSampled);
  const PromptText::Sampled& sampled = rendered.sampled()[0];
  EXPECT_EQ(rendered.keys().substr(sampled.begin, sampled.end - sampled.begin), alone.keys());
  EXPECT_EQ(sampled.ids, (std::vector<int64_t>{7, 8, 9}));
  EXPECT_EQ(chat.messages[2].tool_calls[0].id, "c0") << "in the order of the model, by which results are sorted";
}

TEST_F(Calls, AreWhatTheClientSaysWhereThatIsSomethingElse) {
  Conversation content = sent_back(), name = sent_back(), value = sent_back(), fewer = sent_back(), reasoning = sent_back(),
               unknown = sent_back();
  content.messages[2].content = "Let me see!";
  name.messages[2].tool_calls[0].name = "h";
  value.messages[2].tool_calls[1].parameters = call_parameters(R"({"a": 2.5, "b": {"c": "d", "e": []}})");
  fewer.messages[2].tool_calls.pop_back();
  reasoning.messages[2].reasoning_content = "Aha.";
  for (ChatToolCall& call : unknown.messages[2].tool_calls) call.id += "x";
  EXPECT_TRUE(replays(sent_back()));
  for (const Conversation& chat : {content, name, value, fewer, reasoning, unknown}) EXPECT_FALSE(replays(chat));
}

TEST_F(Calls, AreRenderedWhereReasoningIsLeftOut) {
  Conversation chat = sent_back();
  chat.thinking = false;
  EXPECT_FALSE(replays(chat));
  EXPECT_NE(prompt(chat).find("</think>Let me see.\n\n<｜DSML｜tool_calls>"), std::string::npos);
}

TEST_F(Calls, AreForgottenWhenThereAreTooMany) {
  CallStore small(2);
  small.keep(given(), sampled());
  CompletionMessage other = given();
  other.calls[0].id = "d0";
  other.calls[1].id = "d1";
  small.keep(other, sampled());
  Conversation chat = sent_back();
  small.restore(chat);
  EXPECT_EQ(chat.messages[2].sampled, nullptr);
}

}  // namespace
}  // namespace dsv4
