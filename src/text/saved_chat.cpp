// Conversations written and read.
#include "text/saved_chat.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "text/chat_json.h"

namespace dsv4 {

namespace {

constexpr const char* kVersionField = "dsv4_chat";
constexpr const char* kVersion = "1";

/// Whether a message has nothing but what is written: its role's text, and reasoning of an answer.
bool is_plain(const ChatMessage& message) {
  return message.tool_calls.empty() && message.tool_call_id.empty() && message.tools.empty() && message.response_format.is_null() &&
         !message.task && !message.unfinished && (message.role == ChatRole::kAssistant || message.reasoning_content.empty());
}

}  // namespace

std::string saved_chat_text(const Conversation& chat) {
  nlohmann::ordered_json json;
  json[kVersionField] = 1;
  json["thinking_mode"] = chat.thinking ? "thinking" : "chat";
  json["reasoning_effort"] = std::string(effort_name(chat.effort));
  json["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : chat.messages) {
    nlohmann::ordered_json one;
    one["role"] = message.role == ChatRole::kSystem ? "system" : message.role == ChatRole::kUser ? "user" : "assistant";
    one["content"] = message.content;
    if (!message.reasoning_content.empty()) one["reasoning_content"] = message.reasoning_content;
    json["messages"].push_back(std::move(one));
  }
  return json_file_text(json);
}

Conversation read_saved_chat(std::string_view text, const std::string& where) {
  if (text.size() > kMostChatBytes) fail(where, ": has ", text.size(), " bytes, expected at most ", kMostChatBytes);
  const std::optional<PyJson> json = PyJson::parse(text);
  const PyJson* version = json && json->as<PyJson::Object>() != nullptr ? json->find(kVersionField) : nullptr;
  if (version == nullptr) fail(where, ": is no conversation that /save wrote: expected JSON with the field ", kVersionField);
  const auto* number = version->as<PyJson::Integer>();
  if (number == nullptr || number->digits != kVersion) {
    fail(where, ": ", kVersionField, ": found ", shortened(escaped(version->dump()), 80), ", expected ", kVersion,
         ", the version that this dsv4 writes");
  }
  ChatJson read = read_chat_json(text, where);
  for (const std::string& name : read.unknown) {
    if (name != kVersionField) fail(where, ": ", excerpt(name), ": a field that /save does not write");
  }
  if (!read.chat.drop_thinking) fail(where, ": drop_thinking: a field that /save does not write");
  ChatRole expected = ChatRole::kUser;
  for (size_t i = 0; i < read.chat.messages.size(); ++i) {
    const ChatMessage& message = read.chat.messages[i];
    if (!is_plain(message)) fail(where, ": messages[", i, "]: has fields that /save does not write");
    if (i == 0 && message.role == ChatRole::kSystem) continue;
    if (message.role != expected) {
      fail(where, ": messages[", i, "].role: expected ", expected == ChatRole::kUser ? "user" : "assistant",
           ": a system message, if any, then user and assistant in turn");
    }
    expected = expected == ChatRole::kUser ? ChatRole::kAssistant : ChatRole::kUser;
  }
  if (expected != ChatRole::kUser) fail(where, ": messages: the last one has no answer");
  return std::move(read.chat);
}

}  // namespace dsv4
