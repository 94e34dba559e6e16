// Prompts as keys: text, and markers between bytes that no text has.
#include "text/prompt_text.h"

#include <optional>

#include "text/chat_tokens.h"

namespace dsv4 {

namespace {

constexpr char kOpen = '\xFE', kClose = '\xFF';

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

std::vector<int64_t> PromptText::tokens(const Tokenizer& tokenizer, size_t from) const {
  std::vector<int64_t> ids;
  std::string run;  // text up to the next marker that is a token
  const auto end_run = [&] {
    const std::vector<int64_t> more = tokenizer.encode_plain(run);
    ids.insert(ids.end(), more.begin(), more.end());
    run.clear();
  };
  const std::string_view keys(keys_);
  for (size_t at = from; at < keys.size();) {
    const size_t open = keys.find(kOpen, at);
    run += keys.substr(at, open == keys.npos ? open : open - at);
    if (open == keys.npos) break;
    const size_t close = keys.find(kClose, open);
    const std::string_view marker = keys.substr(open + 1, close - open - 1);
    if (const std::optional<int64_t> id = tokenizer.added(marker)) {
      end_run();
      ids.push_back(*id);
    } else {
      run += marker;
    }
    at = close + 1;
  }
  end_run();
  return ids;
}

}  // namespace dsv4
