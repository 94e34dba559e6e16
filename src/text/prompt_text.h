// The text of a prompt in which markers of the chat format and what people wrote are told apart.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

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

  /// All of it, as DeepSeek's encoder prints it.
  std::string text() const;

  /// The text with each marker between two bytes that no UTF-8 holds. Two prompts mean the same up to where these are equal.
  const std::string& keys() const { return keys_; }
  /// How a marker stands there.
  static std::string key_of(std::string_view marker);

  /// Whether text may be tokenised from this place of keys() on: a marker ends or begins there, or the text does.
  bool is_border(size_t at) const;

 private:
  std::string keys_;
};

}  // namespace dsv4
