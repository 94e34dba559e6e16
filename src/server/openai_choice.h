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

class Choice {
 public:
  virtual ~Choice() = default;
  /// The bytes of a token. Entries of `choices` of the chunks that come of it: none while its text is held back.
  virtual std::vector<nlohmann::ordered_json> push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs) = 0;
  /// Nothing more comes: what was held back, and the chunk that says why; `length`: a limit was reached.
  virtual std::vector<nlohmann::ordered_json> finish(bool length) = 0;
  /// No further token is needed.
  virtual bool ended() const = 0;
  /// The entry of a whole answer, behind finish().
  virtual nlohmann::ordered_json whole() const = 0;
  virtual int64_t tokens() const = 0;
  virtual int64_t reasoning_tokens() const { return 0; }
};

/// The message of a chat.
class ChatChoice : public Choice {
 public:
  /// `parallel_calls` false: the message ends behind its first call.
  ChatChoice(const ChoiceOptions& options, CompletionOptions completion, bool parallel_calls);

  std::vector<nlohmann::ordered_json> push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs) override;
  std::vector<nlohmann::ordered_json> finish(bool length) override;
  bool ended() const override { return parser_.ended() || cut_; }

  nlohmann::ordered_json whole() const override;
  const CompletionMessage& message() const { return message_; }
  int64_t tokens() const override { return tokens_; }
  int64_t reasoning_tokens() const override { return reasoning_tokens_; }

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
class TextChoice : public Choice {
 public:
  /// `echo` stands in front of the text.
  TextChoice(const ChoiceOptions& options, const std::vector<std::string>& stops, std::string echo);

  std::vector<nlohmann::ordered_json> push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs) override;
  std::vector<nlohmann::ordered_json> finish(bool length) override;
  bool ended() const override { return stops_.stopped(); }

  nlohmann::ordered_json whole() const override;
  int64_t tokens() const override { return tokens_; }

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
