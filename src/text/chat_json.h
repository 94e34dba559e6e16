// A chat JSON, read field by field: messages in OpenAI's form with DeepSeek's fields, tools, and how to think.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_message.h"

namespace dsv4 {

/// Parsed, a text may take 40 times its bytes in memory; a prompt of a million tokens has some five megabytes.
constexpr size_t kMostChatBytes = 32u << 20;

struct ChatJson {
  Conversation chat;
  std::vector<std::string> unknown;  ///< top-level fields that mean nothing here
};

/// Reads {"messages", "tools"?, "response_format"?, "thinking_mode", "drop_thinking"?, "reasoning_effort"?}. `where` names the file in
/// messages. Error that names the field ("messages[2].content") for whatever DeepSeek's encoder asserts or fails on, for wrong types, an
/// empty list of messages, names of roles, tasks, modes and efforts that are not known, text that is no UTF-8 or holds half of a surrogate
/// pair, and for more bytes or levels than are read.
ChatJson read_chat_json(std::string_view text, const std::string& where);

}  // namespace dsv4
