// What the fuzz target of the text room runs: any bytes must end in a tokenizer that keeps its promises, or in dsv4::Error.
#pragma once

#include "checkpoint/byte_alphabet.h"
#include "checkpoint/utf8.h"
#include "fuzz/targets.h"
#include "text/split_pattern.h"
#include "text/tokenizer_json.h"

namespace dsv4::fuzz {

/// Tells whether the input was accepted.
inline bool tokenizer(std::span<const uint8_t> text) {
  try {
    const TokenizerJson tokenizer = parse_tokenizer_json(text_of(text), "T");
    require(tokenizer.decoded_bytes().size() == static_cast<size_t>(tokenizer.size()), "every id decodes");
    for (const std::string& bytes : tokenizer.vocabulary) require(!bytes.empty(), "every entry has bytes");
    for (const AddedToken& token : tokenizer.added_tokens) {
      require(token.id >= 0 && token.id < tokenizer.size(), "ids are in range");
      require(!token.content.empty() && !invalid_utf8(token.content), "added tokens are text");
    }
    return true;
  } catch (const Error& error) {
    require_one_line(error, "T: ");
    return false;
  }
}

/// A pattern, which fuzzing a whole tokenizer.json seldom reaches.
inline bool pattern(std::span<const uint8_t> text) {
  try {
    require(!pcre2_pattern(text_of(text), "P").empty(), "a pattern matches something");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "P: ");
    return false;
  }
}

/// Decoders of bytes that models produce.
inline bool utf8(std::span<const uint8_t> bytes) {
  const std::string_view text = text_of(bytes);
  const std::string valid = replace_invalid_utf8(text);
  require(!invalid_utf8(valid), "what is replaced is valid");
  require(invalid_utf8(text).has_value() || valid == text, "what is valid stays");
  const size_t held = unfinished_utf8(text);
  require(held <= std::min<size_t>(3, text.size()), "at most three bytes are held back");
  require(replace_invalid_utf8(text.substr(0, text.size() - held)) + replace_invalid_utf8(text.substr(text.size() - held)) == valid,
          "a text may be cut before an unfinished character");
  if (const auto decoded = bytes_of_token(text)) {
    std::string again;
    for (const char byte : *decoded) again += byte_token(static_cast<uint8_t>(byte));
    require(again == text, "tokens and bytes are one to one");
  }
  return valid == text;
}

}  // namespace dsv4::fuzz
