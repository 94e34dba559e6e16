// The Split steps of a tokenizer: regular expressions, each of which cuts the pieces that the one before has left.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace dsv4 {

class Splitter {
 public:
  /// `patterns` as a tokenizer.json has them, which parse_tokenizer_json has accepted. Error where the machine's PCRE2 is older than 10.38.
  explicit Splitter(const std::vector<std::string>& patterns);

  /// The pieces of UTF-8 text, in order and all of it: what a pattern matches, and what lies between. Error where a match needs more memory than it may have.
  /// Threads may call it at the same time.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };

  std::vector<std::unique_ptr<pcre2_real_code_8, FreeCode>> codes_;
};

}  // namespace dsv4
