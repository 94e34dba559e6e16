// How answers are shown: on a terminal with the reasoning told apart, anywhere else as they are.
#pragma once

#include <string>

#include "text/completion_parser.h"

namespace dsv4 {

class ChatScreen {
 public:
  /// `terminal`: reasoning is shown too, dim unless NO_COLOR or TERM=dumb says otherwise, and control characters are escaped, which could do there what they want.
  explicit ChatScreen(bool terminal);

  void show(const CompletionDelta& delta);
  /// The answer is over, for whatever reason: colours as before, and a line end.
  void finish();

 private:
  void print(const std::string& text) const;

  bool terminal_, dim_;
  bool reasoning_ = false;  // is being shown
  bool anything_ = false;
};

}  // namespace dsv4
