// The text of a prompt in which markers of the chat format and what people wrote are told apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// Text with markers at places of its own: a marker's string inside of what was given is text and never becomes a token.
class PromptText {
 public:
  static constexpr char kOpen = '\xFE', kClose = '\xFF';  ///< around a marker in keys()

  void marker(std::string_view marker);
  /// Text of people and of tools.
  void plain(std::string_view text);
  /// Text of the format itself, in which every marker's string is one (chat_tokens.h).
  void format(std::string_view text);
  /// Text of the format whose ids are known, such as an answer as it was sampled: those that a tokenizer gives for it may be others.
  void sampled(std::string_view text, std::vector<int64_t> ids);

  /// All of it, as DeepSeek's encoder prints it.
  std::string text() const;

  /// The text with each marker between two bytes that no UTF-8 holds. Two prompts mean the same up to where these are equal.
  const std::string& keys() const { return keys_; }
  /// How a marker stands there.
  static std::string key_of(std::string_view marker);

  /// Whether text may be tokenised from this place of keys() on: a marker ends or begins there, or the text does.
  bool is_border(size_t at) const;

  /// The bytes of keys() from `begin` on, before `end`, which stand for these ids.
  struct Sampled {
    size_t begin = 0, end = 0;
    std::vector<int64_t> ids;
  };
  /// In order, apart from each other.
  const std::vector<Sampled>& sampled() const { return sampled_; }

 private:
  std::string keys_;
  std::vector<Sampled> sampled_;
};

}  // namespace dsv4
