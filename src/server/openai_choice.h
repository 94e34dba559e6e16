// One choice of an answer while its tokens come in: what clients get of each, and all of it at the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/openai_reply.h"
#include "text/completion_parser.h"
#include "text/stop_strings.h"
#include "text/whole_characters.h"

namespace dsv4 {

/// What a choice begins with.
struct ChoiceOptions {
  int64_t index = 0;
  bool logprobs = false;  ///< push() gets them, and they go with the text that shows their tokens
};

/// The message of a chat.
class ChatChoice {
 public:
  /// `parallel_calls` false: the message ends behind its first call.
  ChatChoice(const ChoiceOptions& options, CompletionOptions completion, bool parallel_calls);

  /// The bytes of a token. Entries of `choices` of the chunks that come of it: none while its text is held back.
  std::vector<nlohmann::ordered_json> push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs);
  /// Nothing more comes: what was held back, and the chunk that says why; `length`: a limit was reached.
  std::vector<nlohmann::ordered_json> finish(bool length);
  /// No further token is needed.
  bool ended() const { return parser_.ended() || cut_; }

  nlohmann::ordered_json whole() const;  ///< behind finish()
  const CompletionMessage& message() const { return message_; }
  int64_t tokens() const { return tokens_; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  std::vector<nlohmann::ordered_json> shown(std::vector<CompletionDelta> deltas);
  nlohmann::ordered_json take_logprobs();

  ChoiceOptions options_;
  bool parallel_calls_, thinking_;
  CompletionParser parser_;
  CompletionMessage message_;
  bool begun_ = false, cut_ = false;
  FinishReason reason_ = FinishReason::kStop;
  std::vector<TokenLogprobs> waiting_, all_;  // of tokens whose text is held back; of all tokens
  int64_t tokens_ = 0, reasoning_tokens_ = 0;
};

/// A text.
class TextChoice {
 public:
  /// `echo` stands in front of the text.
  TextChoice(const ChoiceOptions& options, const std::vector<std::string>& stops, std::string echo);

  std::vector<nlohmann::ordered_json> push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs);
  std::vector<nlohmann::ordered_json> finish(bool length);
  bool ended() const { return stops_.stopped(); }

  nlohmann::ordered_json whole() const;
  const std::string& text() const { return text_; }
  int64_t tokens() const { return tokens_; }

 private:
  std::vector<nlohmann::ordered_json> shown(const std::string& text);
  nlohmann::ordered_json take_logprobs();

  ChoiceOptions options_;
  StopStrings stops_;
  WholeCharacters characters_;
  std::string text_, echo_;
  size_t begin_, offset_;  // characters before the first token, before those that wait
  FinishReason reason_ = FinishReason::kStop;
  std::vector<TokenLogprobs> waiting_, all_;
  int64_t tokens_ = 0;
};

}  // namespace dsv4
