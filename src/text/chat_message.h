// A conversation as types: what a chat JSON says and what becomes a prompt.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/python_json.h"

namespace dsv4 {

enum class ChatRole { kSystem, kDeveloper, kUser, kAssistant, kTool, kLatestReminder };

/// What DeepSeek's own services ask of the model in place of an answer.
enum class ChatTask { kAction, kQuery, kAuthority, kDomain, kTitle, kReadUrl };

struct ChatToolCall {
  std::string id;  ///< may be empty
  std::string name;
  PyJson::Object parameters;  ///< call_parameters() of its arguments
};

/// An answer as the model sampled it, without the token that ended it.
struct SampledAnswer {
  bool thinking = false;  ///< its prompt ended with <think>, so that it begins with reasoning
  std::string text;
  std::vector<int64_t> ids;  ///< of the text, which need not be those that a tokenizer gives for it
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content = {};
  std::string reasoning_content = {};         ///< assistant
  std::vector<ChatToolCall> tool_calls = {};  ///< assistant
  std::string tool_call_id = {};              ///< tool: whose result it is
  std::vector<PyJson> tools = {};             ///< system, developer: the `function` of each; in any message they keep all reasoning
  PyJson response_format = {};                ///< system, developer: a JSON schema; null: none
  std::optional<ChatTask> task = {};          ///< all but tool
  /// Assistant: stands in the prompt in place of reasoning, content and calls, where these belong there as they did when it was sampled; nullptr: none.
  std::shared_ptr<const SampledAnswer> sampled = {};
  bool unfinished = false;  ///< assistant: no end token, so that the model goes on with it
};

enum class ReasoningEffort { kLow, kHigh, kMax };

struct Conversation {
  std::vector<ChatMessage> messages;
  bool thinking = false;
  bool drop_thinking = true;  ///< leave out reasoning, and developer messages, before the last user message; tools keep all
  ReasoningEffort effort = ReasoningEffort::kLow;
};

/// Releases word the effort of reasoning differently.
enum class ChatRelease { kOriginal, k0731 };

/// "original", "0731".
std::string_view release_name(ChatRelease release);
/// Nothing for another word.
std::optional<ChatRelease> release_named(std::string_view name);
/// "low", "high", "max".
std::string_view effort_name(ReasoningEffort effort);
std::optional<ReasoningEffort> effort_named(std::string_view name);

/// The parameters of a call whose arguments are this text: its members, where it is an object in JSON, else one called `arguments` with the text.
PyJson::Object call_parameters(std::string_view arguments);

}  // namespace dsv4
