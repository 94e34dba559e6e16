// Requests of OpenAI's API as types: what is asked for, checked field by field, with DeepSeek's and other servers' fields that clients send.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dsv4/sampler.h"
#include "text/chat_message.h"
#include "text/completion_tools.h"

namespace dsv4 {

/// What holds where a request says nothing.
struct RequestDefaults {
  SamplerOptions sampler;  ///< of the model's generation_config.json
  ReasoningEffort effort = ReasoningEffort::kLow;
};

constexpr int64_t kMostChoices = 16;  ///< of one prompt
constexpr size_t kMostPrompts = 64;   ///< of a completion
constexpr size_t kMostStops = 16;

/// What chat and text completions have in common.
struct GenerationRequest {
  SamplerOptions sampler;
  bool seeded = false;  ///< sampler.seed is the request's
  std::optional<int64_t> max_tokens;
  int64_t choices = 1;  ///< of each prompt
  std::vector<std::string> stop;
  std::optional<int64_t> logprobs;  ///< log-probabilities of each token and of so many most likely ones
  bool ignore_eos = false;
  bool stream = false;
  bool include_usage = false;  ///< in the last chunk of a stream
};

struct ChatRequest {
  GenerationRequest generation;
  Conversation chat;  ///< tools are in its messages
  CompletionTools tools;
  bool parallel_calls = true;  ///< false: the answer ends behind its first call
};

struct CompletionRequest {
  using Prompt = std::variant<std::string, std::vector<int64_t>>;

  GenerationRequest generation;
  std::vector<Prompt> prompts;  ///< text, or ids
  bool echo = false;            ///< the prompt in front of each text
};

/// The body of /v1/chat/completions. ApiError that names the field for what is no such request, and for what this server does not do; unknown fields mean
/// nothing.
ChatRequest parse_chat_request(std::string_view body, const RequestDefaults& defaults);
/// The body of /v1/completions.
CompletionRequest parse_completion_request(std::string_view body, const RequestDefaults& defaults);

}  // namespace dsv4
