// The text of generated ids as they come, up to a stop string.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/stop_strings.h"
#include "text/tokenizer.h"

namespace dsv4 {

/// Only whole characters are given out, and nothing that may yet be part of a stop string.
class TextUntilStop {
 public:
  /// Error for an empty stop string. `tokenizer` has to stay.
  TextUntilStop(const Tokenizer& tokenizer, const std::vector<std::string>& stop) : stream_(tokenizer), stop_(stop) {}

  /// Text that is certain now.
  std::string push(int64_t token) { return stop_.push(stream_.push(token)); }
  /// What was held back, when no token follows.
  std::string finish() {
    std::string text = stop_.push(stream_.finish());
    return text + stop_.finish();
  }
  bool stopped() const { return stop_.stopped(); }

 private:
  TextStream stream_;
  StopStrings stop_;
};

}  // namespace dsv4
