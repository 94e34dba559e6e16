// Lines that a person types at a terminal: edited, with a history, and with pastes of any length.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

struct editline;
struct history;

namespace dsv4 {

/// Reads standard input through libedit, which knows no bracketed paste: that is done here. A paste that is long or has lines stands in the line as "[pasted text 1,
/// 2048 bytes]" and is put in its place when the line is taken. Ctrl-C and the size of the window come by chat_signals.h.
class ChatReader {
 public:
  ChatReader();
  ~ChatReader();
  ChatReader(const ChatReader&) = delete;
  ChatReader& operator=(const ChatReader&) = delete;

  enum class Kind {
    kText,
    kInterrupt,  ///< Ctrl-C; what was typed is gone
    kEnd,        ///< Ctrl-D, or the terminal is gone
  };
  struct Input {
    Kind kind = Kind::kEnd;
    std::string text;
    bool typed = false;  ///< kInterrupt: there was something in the line
  };

  /// A message: a line, lines that end with `\`, or lines between `"""`.
  Input read(const std::string& prompt);

 private:
  Input read_line(const std::string& prompt);
  int next_character(wchar_t* character);
  bool fill();
  void begin_paste(std::string text);
  std::string with_pastes(std::string line) const;

  static int character_of(editline* editor, wchar_t* character);
  static unsigned char insert_paste(editline* editor, int key);
  static char* prompt_of(editline* editor);
  static ChatReader& of(editline* editor);

  std::FILE* unused_;  // what libedit has to say of the terminal
  editline* editor_;
  history* history_;
  std::string prompt_;
  std::string bytes_;                // read and not used yet
  std::string inserted_;             // what the paste key puts into the line
  std::vector<std::string> pastes_;  // of this message
  bool bracketed_ = false, interrupt_ = false;
};

}  // namespace dsv4
