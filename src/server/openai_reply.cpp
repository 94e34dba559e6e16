// Types to JSON.
#include "server/openai_reply.h"

#include <algorithm>

#include "checkpoint/json_text.h"
#include "checkpoint/utf8.h"

namespace dsv4 {

namespace {

using Json = nlohmann::ordered_json;

/// JSON has no infinity; this is what OpenAI gives for a token that cannot come.
double finite(double logprob) { return std::max(logprob, -9999.0); }

Json bytes_json(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

Json token_json(const TokenText& token) {
  return {{"token", replace_invalid_utf8(token.bytes)}, {"logprob", finite(token.logprob)}, {"bytes", bytes_json(token.bytes)}};
}

Json reason_json(std::optional<FinishReason> reason) { return reason ? Json(finish_text(*reason)) : Json(); }

Json choice(int64_t index, const char* what, Json value, Json logprobs, std::optional<FinishReason> reason) {
  Json out;
  out["index"] = index;
  out[what] = std::move(value);
  out["logprobs"] = std::move(logprobs);
  out["finish_reason"] = reason_json(reason);
  return out;
}

}  // namespace

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.generated},
          {"total_tokens", usage.prompt + usage.generated},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning}}},
          {"prompt_cache_hit_tokens", usage.cached},
          {"prompt_cache_miss_tokens", usage.prompt - usage.cached}};
}

const char* finish_text(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
  }
  return "";
}

Json chat_logprobs_json(const std::vector<TokenLogprobs>& tokens) {
  Json content = Json::array();
  for (const TokenLogprobs& token : tokens) {
    Json entry = token_json(token.chosen);
    entry["top_logprobs"] = Json::array();
    for (const TokenText& top : token.top) entry["top_logprobs"].push_back(token_json(top));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs_json(const std::vector<TokenLogprobs>& tokens, size_t offset) {
  Json texts = Json::array(), values = Json::array(), likeliest = Json::array(), offsets = Json::array();
  for (const TokenLogprobs& token : tokens) {
    const std::string text = replace_invalid_utf8(token.chosen.bytes);
    Json top = Json::object();
    for (const TokenText& one : token.top) top[replace_invalid_utf8(one.bytes)] = finite(one.logprob);
    texts.push_back(text);
    values.push_back(finite(token.chosen.logprob));
    likeliest.push_back(std::move(top));
    offsets.push_back(offset);
    offset += code_points(text).size();
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(likeliest)},
          {"text_offset", std::move(offsets)}};
}

Json chat_message_json(const CompletionMessage& message) {
  Json out = message_json(message);
  if (message.reasoning.empty()) out.erase("reasoning_content");
  if (message.calls.empty()) out.erase("tool_calls");
  if (message.content.empty() && !message.calls.empty()) out["content"] = nullptr;
  return out;
}

Json chat_choice_json(int64_t index, const CompletionMessage& message, FinishReason reason, Json logprobs) {
  return choice(index, "message", chat_message_json(message), std::move(logprobs), reason);
}

Json text_choice_json(int64_t index, const std::string& text, FinishReason reason, Json logprobs) {
  return choice(index, "text", text, std::move(logprobs), reason);
}

Json chat_delta_json(int64_t index, Json delta, std::optional<FinishReason> reason, Json logprobs) {
  return choice(index, "delta", std::move(delta), std::move(logprobs), reason);
}

Json text_delta_json(int64_t index, const std::string& text, std::optional<FinishReason> reason, Json logprobs) {
  return choice(index, "text", text, std::move(logprobs), reason);
}

std::string reply_json(const ReplyHead& head, const char* object, Json choices, const std::optional<Usage>& usage) {
  Json out;
  out["id"] = head.id;
  out["object"] = object;
  out["created"] = head.created;
  out["model"] = head.model;
  out["choices"] = std::move(choices);
  if (usage) out["usage"] = usage_json(*usage);
  return json_text(out);
}

std::string stream_event(std::string_view json) { return "data: " + std::string(json) + "\n\n"; }

}  // namespace dsv4
