// One automaton a stop string, a byte at a time.
#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// How much of the pattern is matched after `byte`, where `matched` bytes were before, fewer than all.
size_t next_match(const std::string& pattern, const std::vector<size_t>& fallback, size_t matched, char byte) {
  while (matched > 0 && pattern[matched] != byte) matched = fallback[matched - 1];
  return pattern[matched] == byte ? matched + 1 : 0;
}

}  // namespace

StopStrings::StopStrings(const std::vector<std::string>& strings) {
  for (const std::string& text : strings) {
    if (text.empty()) fail("a stop string is empty; expected at least one character");
    Pattern pattern = {text, std::vector<size_t>(text.size(), 0)};
    for (size_t i = 1; i < text.size(); ++i) pattern.fallback[i] = next_match(text, pattern.fallback, pattern.fallback[i - 1], text[i]);
    patterns_.push_back(std::move(pattern));
  }
}

std::string StopStrings::push(std::string_view text) {
  std::string certain;
  for (const char byte : text) {
    if (stopped_) break;
    held_ += byte;
    size_t possible = 0, found = 0;
    for (Pattern& pattern : patterns_) {
      pattern.matched = next_match(pattern.text, pattern.fallback, pattern.matched, byte);
      possible = std::max(possible, pattern.matched);
      if (pattern.matched == pattern.text.size()) found = std::max(found, pattern.matched);
    }
    stopped_ = found > 0;
    const size_t free = held_.size() - (stopped_ ? found : possible);
    certain.append(held_, 0, free);
    held_.erase(0, free);
    if (stopped_) held_.clear();
  }
  return certain;
}

std::string StopStrings::finish() { return std::exchange(held_, std::string()); }

}  // namespace dsv4
