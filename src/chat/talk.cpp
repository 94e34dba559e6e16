// Turns of a conversation.
#include "chat/talk.h"

#include <algorithm>
#include <stop_token>

#include "checkpoint/utf8.h"
#include "dsv4/error.h"
#include "text/chat_encoder.h"
#include "text/completion_message.h"

namespace dsv4 {

const ChatAnswer& Talk::ask(const std::string& text, const OnDelta& on_delta, const std::function<bool()>& stopped) {
  if (invalid_utf8(text)) fail("the message is not UTF-8");
  Conversation with = chat_;
  with.messages.push_back({.role = ChatRole::kUser, .content = text});
  CompletionOptions parsing;
  parsing.thinking = with.thinking;
  parsing.stops = options_.stops;
  CompletionParser parser(std::move(parsing));
  CompletionMessage message;
  std::stop_source cancel;
  FeedOptions feeding;
  feeding.cancel = cancel.get_token();
  feeding.progress = [&](int64_t) {
    if (stopped()) cancel.request_stop();
  };
  Request request = options_.request;
  request.ends_after = [&](int64_t) { return stopped(); };
  last_ = session_.answer(
      chat_prompt(with, options_.release), request, parser,
      [&](const CompletionDelta& delta) {
        message.add(delta);
        on_delta(delta);
      },
      feeding);
  with.messages.push_back(
      {.role = ChatRole::kAssistant, .content = std::move(message.content), .reasoning_content = std::move(message.reasoning)});
  chat_ = std::move(with);
  return *last_;
}

void Talk::set_system(const std::string& text) {
  if (invalid_utf8(text)) fail("the system prompt is not UTF-8");
  const bool there = !chat_.messages.empty() && chat_.messages.front().role == ChatRole::kSystem;
  if (there) chat_.messages.erase(chat_.messages.begin());
  if (!text.empty()) chat_.messages.insert(chat_.messages.begin(), {.role = ChatRole::kSystem, .content = text});
}

std::string Talk::system() const {
  return !chat_.messages.empty() && chat_.messages.front().role == ChatRole::kSystem ? chat_.messages.front().content : "";
}

bool Talk::undo() {
  if (turns() == 0) return false;
  chat_.messages.resize(chat_.messages.size() - 2);
  return true;
}

void Talk::reset() {
  const std::string kept = system();
  chat_.messages.clear();
  set_system(kept);
  session_.reset();
  last_.reset();
}

size_t Talk::turns() const {
  return static_cast<size_t>(std::count_if(chat_.messages.begin(), chat_.messages.end(),
                                           [](const ChatMessage& message) { return message.role == ChatRole::kAssistant; }));
}

}  // namespace dsv4
