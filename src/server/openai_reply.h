// Answers of OpenAI's API as JSON text: whole, and in the chunks of a stream.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/completion_message.h"

namespace dsv4 {

struct Usage {
  int64_t prompt = 0;     ///< tokens of it, those of the cache too
  int64_t cached = 0;     ///< which were there from an earlier request
  int64_t generated = 0;  ///< of all choices
  int64_t reasoning = 0;  ///< of these, those of reasoning
};

nlohmann::ordered_json usage_json(const Usage& usage);

/// What all parts of an answer share.
struct ReplyHead {
  std::string id;  ///< chatcmpl-..., cmpl-...
  int64_t created = 0;
  std::string model;
};

/// A token in a list of log-probabilities.
struct TokenText {
  std::string bytes;  ///< may be part of a character
  double logprob = 0;
};

struct TokenLogprobs {
  TokenText chosen;
  std::vector<TokenText> top;
};

/// "stop", "length" or "tool_calls".
const char* finish_text(FinishReason reason);

/// `logprobs` of a choice of a chat: {"content": [...], "refusal": null}.
nlohmann::ordered_json chat_logprobs_json(const std::vector<TokenLogprobs>& tokens);
/// `logprobs` of a text: lists of tokens, their values, the likeliest ones, and where in the text they begin, from `offset` on.
nlohmann::ordered_json text_logprobs_json(const std::vector<TokenLogprobs>& tokens, size_t offset);

/// A message as clients expect it: no fields for what is not there, content null beside calls alone.
nlohmann::ordered_json chat_message_json(const CompletionMessage& message);

/// An entry of `choices` of a whole answer; `logprobs` null: none were asked for.
nlohmann::ordered_json chat_choice_json(int64_t index, const CompletionMessage& message, FinishReason reason,
                                        nlohmann::ordered_json logprobs);
nlohmann::ordered_json text_choice_json(int64_t index, const std::string& text, FinishReason reason, nlohmann::ordered_json logprobs);
/// The same of a chunk; without a reason it is null.
nlohmann::ordered_json chat_delta_json(int64_t index, nlohmann::ordered_json delta, std::optional<FinishReason> reason,
                                       nlohmann::ordered_json logprobs);
nlohmann::ordered_json text_delta_json(int64_t index, const std::string& text, std::optional<FinishReason> reason,
                                       nlohmann::ordered_json logprobs);

/// "chat.completion", "chat.completion.chunk" or "text_completion" with its choices; without usage the field is not there.
std::string reply_json(const ReplyHead& head, const char* object, nlohmann::ordered_json choices, const std::optional<Usage>& usage);

/// An event of a stream.
std::string stream_event(std::string_view json);
constexpr std::string_view kStreamEnd = "data: [DONE]\n\n";
constexpr std::string_view kStreamAlive = ": keep-alive\n\n";

}  // namespace dsv4
