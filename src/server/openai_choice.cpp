// Tokens to choices.
#include "server/openai_choice.h"

#include <utility>

#include "checkpoint/utf8.h"

namespace dsv4 {

using Json = nlohmann::ordered_json;

ChatChoice::ChatChoice(const ChoiceOptions& options, CompletionOptions completion, bool parallel_calls)
    : options_(options), parallel_calls_(parallel_calls), thinking_(completion.thinking), parser_(std::move(completion)) {}

std::vector<Json> ChatChoice::push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs) {
  ++tokens_;
  const bool reasons = thinking_ && message_.content.empty() && message_.calls.empty();
  if (logprobs) {
    waiting_.push_back(*logprobs);
    all_.push_back(*logprobs);
  }
  std::vector<Json> out = shown(parser_.push(bytes));
  // The token that ends reasoning is reasoning's: content begins behind it.
  if (reasons && message_.content.empty() && message_.calls.empty()) ++reasoning_tokens_;
  return out;
}

std::vector<Json> ChatChoice::finish(bool length) {
  const bool whole_call = cut_;
  std::vector<Json> out = cut_ ? std::vector<Json>() : shown(parser_.finish(length));
  reason_ = whole_call ? FinishReason::kToolCalls : parser_.finish_reason();
  Json delta = Json::object();
  if (!begun_) delta = {{"role", "assistant"}, {"content", ""}};
  out.push_back(chat_delta_json(options_.index, std::move(delta), reason_, waiting_.empty() ? Json() : take_logprobs()));
  return out;
}

std::vector<Json> ChatChoice::shown(std::vector<CompletionDelta> deltas) {
  std::vector<Json> out;
  for (const CompletionDelta& delta : deltas) {
    const bool second_call = delta.kind == CompletionDelta::Kind::kCall && delta.call > 0;
    if (!parallel_calls_ && second_call) cut_ = true;
    if (cut_) break;
    message_.add(delta);
    Json json = delta_json(delta);
    if (!std::exchange(begun_, true)) {
      Json first = {{"role", "assistant"}};
      first.update(json);
      json = std::move(first);
    }
    out.push_back(chat_delta_json(options_.index, std::move(json), std::nullopt, waiting_.empty() ? Json() : take_logprobs()));
  }
  return out;
}

Json ChatChoice::take_logprobs() { return chat_logprobs_json(std::exchange(waiting_, {})); }

Json ChatChoice::whole() const {
  return chat_choice_json(options_.index, message_, reason_, options_.logprobs ? chat_logprobs_json(all_) : Json());
}

TextChoice::TextChoice(const ChoiceOptions& options, const std::vector<std::string>& stops, std::string echo)
    : options_(options), stops_(stops), echo_(std::move(echo)), begin_(code_points(echo_).size()), offset_(begin_) {}

std::vector<Json> TextChoice::push(std::string_view bytes, const std::optional<TokenLogprobs>& logprobs) {
  ++tokens_;
  if (logprobs) {
    waiting_.push_back(*logprobs);
    all_.push_back(*logprobs);
  }
  std::string certain;
  characters_.push(bytes, certain);
  return shown(stops_.push(certain));
}

std::vector<Json> TextChoice::finish(bool length) {
  std::string rest;
  characters_.finish(rest);
  std::string text = stops_.push(rest);
  text += stops_.finish();
  reason_ = length && !stops_.stopped() ? FinishReason::kLength : FinishReason::kStop;
  std::vector<Json> out = shown(text);
  out.push_back(text_delta_json(options_.index, "", reason_, waiting_.empty() ? Json() : take_logprobs()));
  return out;
}

std::vector<Json> TextChoice::shown(const std::string& text) {
  const std::string piece = std::exchange(echo_, {}) + text;
  if (piece.empty()) return {};
  text_ += piece;
  return {text_delta_json(options_.index, piece, std::nullopt, waiting_.empty() ? Json() : take_logprobs())};
}

Json TextChoice::take_logprobs() {
  const std::vector<TokenLogprobs> tokens = std::exchange(waiting_, {});
  Json out = text_logprobs_json(tokens, offset_);
  for (const TokenLogprobs& token : tokens) offset_ += code_points(replace_invalid_utf8(token.chosen.bytes)).size();
  return out;
}

Json TextChoice::whole() const {
  return text_choice_json(options_.index, text_, reason_, options_.logprobs ? text_logprobs_json(all_, begin_) : Json());
}

}  // namespace dsv4
