// The markers of DeepSeek-V4's chat format, as text; each is one token of the tokenizer but for kToolResult*, which are ordinary text.
#pragma once

#include <string_view>

namespace dsv4::chat_tokens {

constexpr std::string_view kBegin = "<｜begin▁of▁sentence｜>";
constexpr std::string_view kEnd = "<｜end▁of▁sentence｜>";
constexpr std::string_view kUser = "<｜User｜>";
constexpr std::string_view kAssistant = "<｜Assistant｜>";
constexpr std::string_view kLatestReminder = "<｜latest_reminder｜>";
constexpr std::string_view kThink = "<think>";
constexpr std::string_view kThinkEnd = "</think>";
constexpr std::string_view kDsml = "｜DSML｜";  ///< stands behind the < or </ of a tag of a tool call
constexpr std::string_view kToolResult = "<tool_result>";
constexpr std::string_view kToolResultEnd = "</tool_result>";

constexpr std::string_view kAction = "<｜action｜>";
constexpr std::string_view kQuery = "<｜query｜>";
constexpr std::string_view kAuthority = "<｜authority｜>";
constexpr std::string_view kDomain = "<｜domain｜>";
constexpr std::string_view kTitle = "<｜title｜>";
constexpr std::string_view kReadUrl = "<｜read_url｜>";

/// Without which a tokenizer is none of a model that chats.
constexpr std::string_view kOfEveryChat[] = {kBegin, kEnd, kUser, kAssistant, kThink, kThinkEnd};

/// Those that are tokens.
constexpr std::string_view kMarkers[] = {kBegin, kEnd,    kUser,  kAssistant, kLatestReminder, kThink, kThinkEnd,
                                         kDsml,  kAction, kQuery, kAuthority, kDomain,         kTitle, kReadUrl};

}  // namespace dsv4::chat_tokens
