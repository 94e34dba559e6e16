// A conversation on a session: of each prompt only what the session does not hold yet is fed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dsv4/request.h"
#include "dsv4/session.h"
#include "text/completion_parser.h"
#include "text/prompt_text.h"
#include "text/tokenizer.h"

namespace dsv4 {

/// What came of a prompt.
struct ChatAnswer {
  int64_t prompt_tokens = 0;  ///< of the whole prompt
  int64_t reused = 0;         ///< of these, held by the session and taken as they were
  int64_t fed_again = 0;      ///< tokens that going back cost, from the nearest kept state
  Generated generated;        ///< its times are those of the prompt's new tokens and of the answer
  bool length = false;        ///< cut by the limit of new tokens or by the context
};

/// What is held is compared as text, marks of the chat format told from contents: sampled tokens are not always those that the tokenizer gives for their text. Not
/// thread-safe.
class ChatSession {
 public:
  /// `tokenizer` has to outlive this.
  ChatSession(const Engine& engine, const Tokenizer& tokenizer);

  /// Called with pieces of the answer as they come.
  using OnDelta = std::function<void(const CompletionDelta&)>;

  /// Feeds what the session lacks of `prompt` and answers it. `request` says how, but for its prompt, `before` and on_token; its max_new_tokens is cut to what the
  /// context leaves. `feeding.cancel` is asked while the prompt is fed, request.ends_after at each new token. Error when prompt and one new token are
  /// more than the context, before anything is changed; Cancelled, and whatever inferences throw: the session then goes on with what it holds.
  ChatAnswer answer(const PromptText& prompt, Request request, CompletionParser& parser, const OnDelta& on_delta,
                    const FeedOptions& feeding = {});

  /// Tokens that the session holds.
  int64_t position() const { return std::ssize(tokens_); }
  int64_t context() const { return session_.engine().context(); }
  /// Forgets everything.
  void reset();

 private:
  struct Place {
    size_t key = 0;        // of the prompt's keys()
    int64_t position = 0;  // tokens before it
  };

  Place shared_place(const PromptText& prompt) const;
  int64_t go_back(int64_t position, const FeedOptions& feeding);
  void feed(std::span<const int64_t> tokens, const FeedOptions& feeding);
  void note(std::span<const int64_t> tokens);
  void cut(int64_t position);

  const Tokenizer& tokenizer_;
  Session session_;
  std::vector<int64_t> tokens_;  // that the session holds
  std::string keys_;             // their text, as PromptText has it
  std::vector<size_t> ends_;     // of each token's text in keys_
};

}  // namespace dsv4
