// An answer of OpenAI's API on its way to the client: whole, or as a stream, with all its choices.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dsv4/sampler.h"
#include "server/http_reply.h"
#include "server/openai_choice.h"
#include "server/served_model.h"

namespace dsv4 {

/// How an answer looks.
struct AnswerForm {
  ReplyHead head;
  const char* whole = "";   ///< its `object`
  const char* chunk = "";   ///< the `object` of a part of a stream
  bool markers = false;     ///< special tokens are text too: who reads them knows them
  bool ignore_eos = false;  ///< tokens that end a sequence are none of the text
  bool stream = false;
  bool include_usage = false;  ///< in a stream
};

/// Thread-safe.
class OpenAiAnswer {
 public:
  OpenAiAnswer(std::shared_ptr<HttpReply> reply, const ServedModel& model, AnswerForm form, std::vector<std::unique_ptr<Choice>> choices)
      : reply_(std::move(reply)), model_(model), form_(std::move(form)), choices_(std::move(choices)), left_(choices_.size()) {}

  /// The head of a stream, as soon as nothing can be wrong with the request any more.
  void begin();
  void add_prompt(int64_t tokens, int64_t cached);
  /// A token of a choice. False when so much waits for the client that the text should pause.
  bool token(size_t choice, int64_t id, const Logprobs* logprobs);
  /// No further token of it is needed.
  bool ended(size_t choice) const;
  /// Behind its last token; `length`: a limit was reached. The answer ends with its last choice.
  void finish(size_t choice, bool length);
  /// Something went wrong: the answer ends with this, in the API's form.
  void fail(const std::exception& error);
  int64_t tokens(size_t choice) const;

 private:
  bool write(std::vector<nlohmann::ordered_json> chunks);
  std::optional<TokenLogprobs> words(const Logprobs* logprobs) const;
  void end();

  std::shared_ptr<HttpReply> reply_;
  const ServedModel& model_;
  AnswerForm form_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Choice>> choices_;
  size_t left_;
  Usage usage_;
  bool over_ = false;
};

}  // namespace dsv4
