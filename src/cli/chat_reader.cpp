// libedit with a source of characters of our own.
#include "cli/chat_reader.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <string_view>

#include "checkpoint/utf8.h"
#include "cli/chat_signals.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr std::string_view kPasteBegins = "\x1b[200~", kPasteEnds = "\x1b[201~";
constexpr char kPasteKey = 0x1d;          // Ctrl-], which nobody types: it puts a paste into the line
constexpr size_t kLongPaste = 1000;       // bytes that stand in the line as a name
constexpr size_t kMostPaste = 256 << 20;  // more than the tokenizer takes
constexpr size_t kBurst = 64;             // so many bytes at once were not typed
constexpr int kEscapeMilliseconds = 50;   // within which the rest of an escape sequence follows
constexpr std::string_view kQuotes = "\"\"\"";

std::string paste_name(size_t number, size_t bytes) { return concat("[pasted text ", number, ", ", bytes, " bytes]"); }

/// Line ends as in texts, and nothing that libedit takes for an end.
std::string as_text(std::string_view paste) {
  std::string text;
  text.reserve(paste.size());
  for (size_t i = 0; i < paste.size(); ++i) {
    if (paste[i] == '\0') continue;
    if (paste[i] == '\r') {
      text += '\n';
      if (i + 1 < paste.size() && paste[i + 1] == '\n') ++i;
    } else {
      text += paste[i];
    }
  }
  return replace_invalid_utf8(text);
}

}  // namespace

ChatReader::ChatReader() : unused_(std::fopen("/dev/null", "w")) {
  std::setlocale(LC_CTYPE, "C.UTF-8");  // libedit's characters
  const char* terminal = std::getenv("TERM");
  bracketed_ = terminal != nullptr && *terminal != '\0' && std::string_view(terminal) != "dumb";
  editor_ = unused_ == nullptr ? nullptr : el_init("dsv4", stdin, stdout, unused_);
  history_ = history_init();
  if (editor_ == nullptr || history_ == nullptr) fail("the terminal cannot be used for a chat; pipe prompts in, one a line");
  el_set(editor_, EL_CLIENTDATA, this);
  el_set(editor_, EL_PROMPT, &ChatReader::prompt_of);
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_SIGNAL, 0);
  el_set(editor_, EL_GETCFN, &ChatReader::character_of);
  el_set(editor_, EL_ADDFN, "dsv4-paste", "puts a paste into the line", &ChatReader::insert_paste);
  el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor_, EL_BIND, "^]", "dsv4-paste", nullptr);
  HistEvent event;
  ::history(history_, &event, H_SETSIZE, 1000);
  ::history(history_, &event, H_SETUNIQUE, 1);
  el_set(editor_, EL_HIST, ::history, history_);
}

ChatReader::~ChatReader() {
  if (history_ != nullptr) history_end(history_);
  if (editor_ != nullptr) el_end(editor_);
  if (unused_ != nullptr) std::fclose(unused_);
}

ChatReader& ChatReader::of(editline* editor) {
  void* reader = nullptr;
  el_get(editor, EL_CLIENTDATA, &reader);
  return *static_cast<ChatReader*>(reader);
}

char* ChatReader::prompt_of(editline* editor) { return of(editor).prompt_.data(); }

int ChatReader::character_of(editline* editor, wchar_t* character) { return of(editor).next_character(character); }

unsigned char ChatReader::insert_paste(editline* editor, int) {
  ChatReader& reader = of(editor);
  if (reader.inserted_.empty()) return CC_NORM;
  el_insertstr(editor, reader.inserted_.c_str());
  reader.inserted_.clear();
  return CC_REFRESH;
}

/// Waits for bytes. False at the end of the input, and after a signal that ends the line.
bool ChatReader::fill() {
  for (;;) {
    if (take_interrupt()) {
      interrupt_ = true;
      return false;
    }
    if (ending_signal() != 0) return false;
    if (take_resize()) {
      el_resize(editor_);
      el_set(editor_, EL_REFRESH);
    }
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    char buffer[1 << 16];
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes_.append(buffer, static_cast<size_t>(count));
    return true;
  }
}

void ChatReader::begin_paste(std::string text) {
  if (text.size() <= kLongPaste && text.find('\n') == text.npos) {
    inserted_ = std::move(text);
    return;
  }
  pastes_.push_back(std::move(text));
  inserted_ = paste_name(pastes_.size(), pastes_.back().size());
}

/// 1 and a character; 0 at the end, -1 to give the line up.
int ChatReader::next_character(wchar_t* character) {
  const auto escape_is_cut = [&] { return bytes_.size() < kPasteBegins.size() && kPasteBegins.starts_with(bytes_); };
  while (bytes_.empty()) {
    if (!fill()) return interrupt_ ? -1 : 0;
  }
  while (escape_is_cut()) {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kEscapeMilliseconds) <= 0 || !fill()) break;
  }
  if (bytes_.starts_with(kPasteBegins)) {
    size_t end = 0, searched = kPasteBegins.size();
    while ((end = bytes_.find(kPasteEnds, searched)) == bytes_.npos) {
      searched = std::max(kPasteBegins.size(), bytes_.size() - std::min(bytes_.size(), kPasteEnds.size()));
      if (bytes_.size() > kMostPaste || !fill()) {
        bytes_.clear();
        return interrupt_ ? -1 : 0;
      }
    }
    begin_paste(as_text(std::string_view(bytes_).substr(kPasteBegins.size(), end - kPasteBegins.size())));
    bytes_.erase(0, end + kPasteEnds.size());
    *character = kPasteKey;
    return 1;
  }
  // A burst of text, as of a paste without brackets: put into the line at once, since libedit draws the line for every character.
  const size_t run =
      std::min(bytes_.size(), static_cast<size_t>(std::find_if(bytes_.begin(), bytes_.end(),
                                                               [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }) -
                                                  bytes_.begin()));
  if (run >= kBurst) {
    const size_t whole = run - unfinished_utf8(std::string_view(bytes_).substr(0, run));
    inserted_ = replace_invalid_utf8(std::string_view(bytes_).substr(0, whole));
    bytes_.erase(0, whole);
    *character = kPasteKey;
    return 1;
  }
  while (unfinished_utf8(bytes_) == bytes_.size()) {
    if (!fill()) return interrupt_ ? -1 : 0;
  }
  const Character next = first_character(bytes_);
  bytes_.erase(0, next.bytes);
  *character = static_cast<wchar_t>(next.code.value_or(0xFFFD));
  return 1;
}

std::string ChatReader::with_pastes(std::string line) const {
  size_t from = 0;
  for (size_t i = 0; i < pastes_.size(); ++i) {
    const std::string name = paste_name(i + 1, pastes_[i].size());
    const size_t at = line.find(name, from);
    if (at == line.npos) continue;  // taken out again
    line.replace(at, name.size(), pastes_[i]);
    from = at + pastes_[i].size();
  }
  return line;
}

ChatReader::Input ChatReader::read_line(const std::string& prompt) {
  prompt_ = prompt;
  interrupt_ = false;
  take_interrupt();
  el_resize(editor_);  // the window may have changed while something else was on it
  const auto switch_brackets = [&](const char* code) {
    if (!bracketed_) return;
    std::fputs(code, stdout);
    std::fflush(stdout);
  };
  el_set(editor_, EL_PREP_TERM, 1);  // before the prompt is there, or what is typed at once is echoed twice
  switch_brackets("\x1b[?2004h");
  int count = 0;
  const char* line = el_gets(editor_, &count);
  const LineInfo* left = el_line(editor_);
  const bool typed = left != nullptr && left->lastchar > left->buffer;
  switch_brackets("\x1b[?2004l");
  Input input;
  if (interrupt_) {
    std::fputs("^C\n", stdout);
    std::fflush(stdout);
    el_set(editor_, EL_UNBUFFERED, 0);  // the line is gone
    el_reset(editor_);
    bytes_.clear();
    input.kind = Kind::kInterrupt;
    input.typed = typed;
    return input;
  }
  if (line == nullptr || count <= 0) {
    std::fputs("\n", stdout);
    return input;
  }
  input.kind = Kind::kText;
  input.text.assign(line, static_cast<size_t>(count));
  while (input.text.ends_with('\n') || input.text.ends_with('\r')) input.text.pop_back();
  if (!input.text.empty()) {
    HistEvent event;
    ::history(history_, &event, H_ENTER, input.text.c_str());
  }
  return input;
}

ChatReader::Input ChatReader::read(const std::string& prompt) {
  pastes_.clear();
  Input input = read_line(prompt);
  if (input.kind != Kind::kText) return input;
  const auto more = [&] {
    Input next = read_line("... ");
    const bool text = next.kind == Kind::kText;
    if (text) {
      input.text += '\n' + next.text;
    } else {
      next.typed = true;
      input = std::move(next);
    }
    return text;
  };
  if (input.text.starts_with(kQuotes)) {
    while (input.text.size() < 2 * kQuotes.size() || !input.text.ends_with(kQuotes)) {
      if (!more()) return input;
    }
    input.text = input.text.substr(kQuotes.size(), input.text.size() - 2 * kQuotes.size());
    if (input.text.starts_with('\n')) input.text.erase(0, 1);
    if (input.text.ends_with('\n')) input.text.pop_back();
  } else {
    while (input.text.ends_with('\\')) {
      input.text.pop_back();
      if (!more()) return input;
    }
  }
  input.text = with_pastes(std::move(input.text));
  return input;
}

}  // namespace dsv4
