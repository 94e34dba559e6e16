// Prompts as keys: text, and markers between bytes that no text has.
#include "text/prompt_text.h"

#include <utility>

#include "text/chat_tokens.h"

namespace dsv4 {

namespace {

constexpr char kOpen = PromptText::kOpen, kClose = PromptText::kClose;

}  // namespace

std::string PromptText::key_of(std::string_view marker) {
  std::string key(1, kOpen);
  key += marker;
  key += kClose;
  return key;
}

void PromptText::marker(std::string_view marker) {
  keys_ += kOpen;
  keys_ += marker;
  keys_ += kClose;
}

void PromptText::plain(std::string_view text) { keys_ += text; }

void PromptText::format(std::string_view text) {
  while (!text.empty()) {
    size_t first = text.size();
    std::string_view found;
    for (const std::string_view one : chat_tokens::kMarkers) {
      const size_t at = text.find(one);
      if (at < first) {
        first = at;
        found = one;
      }
    }
    plain(text.substr(0, first));
    if (found.empty()) return;
    marker(found);
    text.remove_prefix(first + found.size());
  }
}

void PromptText::sampled(std::string_view text, std::vector<int64_t> ids) {
  const size_t begin = keys_.size();
  format(text);
  sampled_.push_back({begin, keys_.size(), std::move(ids)});
}

std::string PromptText::text() const {
  std::string text;
  text.reserve(keys_.size());
  for (const char byte : keys_) {
    if (byte != kOpen && byte != kClose) text += byte;
  }
  return text;
}

bool PromptText::is_border(size_t at) const {
  if (at > keys_.size()) return false;
  return at == 0 || at == keys_.size() || keys_[at - 1] == kClose || keys_[at] == kOpen;
}

}  // namespace dsv4
