// Deltas on standard output.
#include "cli/chat_screen.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

bool wants_colour() {
  const char* none = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (none == nullptr || *none == '\0') && terminal != nullptr && *terminal != '\0' && std::string_view(terminal) != "dumb";
}

}  // namespace

ChatScreen::ChatScreen(bool terminal) : terminal_(terminal), dim_(terminal && wants_colour()) {}

void ChatScreen::print(const std::string& text) const { std::cout << (terminal_ ? escaped_lines(text) : text) << std::flush; }

void ChatScreen::show(const CompletionDelta& delta) {
  const bool reasoning = delta.kind == CompletionDelta::Kind::kReasoning;
  if (reasoning && !terminal_) return;
  if (reasoning && !reasoning_) {
    std::cout << (dim_ ? "\x1b[2m" : "(reasoning)\n");
  } else if (!reasoning && reasoning_) {
    std::cout << (dim_ ? "\x1b[0m\n\n" : "\n(answer)\n");
  }
  reasoning_ = reasoning;
  anything_ = true;
  print(delta.text);
}

void ChatScreen::finish() {
  if (reasoning_ && dim_) std::cout << "\x1b[0m";
  if (anything_ || !terminal_) std::cout << '\n';
  std::cout << std::flush;
  reasoning_ = anything_ = false;
}

}  // namespace dsv4
