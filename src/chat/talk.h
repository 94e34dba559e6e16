// What a person and a model say to each other: the conversation, answered turn by turn.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_session.h"
#include "text/chat_message.h"

namespace dsv4 {

/// How its turns are answered.
struct TalkOptions {
  ChatRelease release = ChatRelease::kOriginal;
  Request request;                 ///< without a prompt; max_new_tokens 0: as many as the context holds
  std::vector<std::string> stops;  ///< end an answer
};

class Talk {
 public:
  /// `tokenizer` has to outlive this.
  Talk(const Engine& engine, const Tokenizer& tokenizer, TalkOptions options) : options_(std::move(options)), session_(engine, tokenizer) {}

  using OnDelta = ChatSession::OnDelta;

  /// Adds a user's message and the answer to it, which is cut where `stopped` says so. When it throws, the conversation is as it was.
  const ChatAnswer& ask(const std::string& text, const OnDelta& on_delta, const std::function<bool()>& stopped);

  /// The system prompt; empty: none.
  void set_system(const std::string& text);
  std::string system() const;
  void set_thinking(bool thinking) { chat_.thinking = thinking; }
  void set_effort(ReasoningEffort effort) { chat_.effort = effort; }
  /// Takes the last message and its answer back. False where there is none.
  bool undo();
  /// Begins anew, with the same system prompt.
  void reset();
  void load(Conversation chat) { chat_ = std::move(chat); }

  const Conversation& chat() const { return chat_; }
  size_t turns() const;  ///< answers
  const ChatSession& session() const { return session_; }
  const std::optional<ChatAnswer>& last() const { return last_; }
  const Request& request() const { return options_.request; }

 private:
  TalkOptions options_;
  ChatSession session_;
  Conversation chat_;
  std::optional<ChatAnswer> last_;
};

}  // namespace dsv4
