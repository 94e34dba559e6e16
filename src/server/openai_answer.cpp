// Choices to one reply.
#include "server/openai_answer.h"

#include <utility>

#include "server/api_error.h"

namespace dsv4 {

using Json = nlohmann::ordered_json;

void OpenAiAnswer::begin() {
  if (!form_.stream) return;
  reply_->begin({200, "text/event-stream", {}, {{"Cache-Control", "no-cache"}}}, std::string(kStreamAlive));
}

void OpenAiAnswer::add_prompt(int64_t tokens, int64_t cached) {
  const std::lock_guard lock(mutex_);
  usage_.prompt += tokens;
  usage_.cached += cached;
}

std::optional<TokenLogprobs> OpenAiAnswer::words(const Logprobs* logprobs) const {
  if (logprobs == nullptr) return std::nullopt;
  const auto text_of = [this](const TokenLogprob& one) { return TokenText{std::string(model_.bytes(one.token, true)), one.logprob}; };
  TokenLogprobs out;
  out.chosen = text_of(logprobs->chosen);
  for (const TokenLogprob& one : logprobs->top) out.top.push_back(text_of(one));
  return out;
}

bool OpenAiAnswer::token(size_t choice, int64_t id, const Logprobs* logprobs) {
  const std::lock_guard lock(mutex_);
  if (over_) return true;
  const bool silent = form_.ignore_eos && model_.engine().is_end(id);
  return write(choices_[choice]->push(silent ? std::string_view() : model_.bytes(id, form_.markers), words(logprobs)));
}

bool OpenAiAnswer::ended(size_t choice) const {
  const std::lock_guard lock(mutex_);
  return over_ || choices_[choice]->ended();
}

int64_t OpenAiAnswer::tokens(size_t choice) const {
  const std::lock_guard lock(mutex_);
  return choices_[choice]->tokens();
}

bool OpenAiAnswer::write(std::vector<Json> chunks) {
  if (!form_.stream) return true;
  bool room = true;
  for (Json& chunk : chunks) {
    Json list = Json::array();
    list.push_back(std::move(chunk));
    room = reply_->write(stream_event(reply_json(form_.head, form_.chunk, std::move(list), std::nullopt)));
  }
  return room;
}

void OpenAiAnswer::finish(size_t choice, bool length) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  write(choices_[choice]->finish(length));
  usage_.generated += choices_[choice]->tokens();
  usage_.reasoning += choices_[choice]->reasoning_tokens();
  if (--left_ == 0) end();
}

void OpenAiAnswer::end() {
  over_ = true;
  if (form_.stream) {
    if (form_.include_usage) reply_->write(stream_event(reply_json(form_.head, form_.chunk, Json::array(), usage_)));
    reply_->write(kStreamEnd);
    return reply_->end();
  }
  Json list = Json::array();
  for (const auto& choice : choices_) list.push_back(choice->whole());
  HttpResponse response;
  response.body = reply_json(form_.head, form_.whole, std::move(list), usage_);
  reply_->send(std::move(response));
}

void OpenAiAnswer::fail(const std::exception& error) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(over_, true)) return;
  if (!form_.stream || !reply_->begun()) return reply_->send(openai_error(error));
  reply_->write(stream_event(openai_error_json(error)));
  reply_->write(kStreamEnd);
  reply_->end();
}

}  // namespace dsv4
