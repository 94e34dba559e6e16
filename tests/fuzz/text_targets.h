// What the fuzz target of the text room runs: any bytes must end in a tokenizer that keeps its promises, or in dsv4::Error.
#pragma once

#include "checkpoint/byte_alphabet.h"
#include "checkpoint/utf8.h"
#include "fuzz/targets.h"
#include "text/completion_message.h"
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

/// A model's answer: the first byte chooses how it is read, the second the size of the pieces. Tells whether it has calls.
inline bool completion(std::span<const uint8_t> bytes) {
  static const CompletionTools tools = CompletionTools::parse(
      R"([{"name": "f", "parameters": {"properties": {"s": {"type": "string"}, "i": {"type": "integer"}, "o": {"type": "object"}}}}, {"name": "g"}])",
      "T");
  if (bytes.size() < 2) return false;
  const std::string_view text = text_of(bytes.subspan(2));
  const auto parse = [&](size_t piece) {
    CompletionOptions options;
    options.thinking = (bytes[0] & 1) != 0;
    if ((bytes[0] & 2) == 0) options.tools = tools;
    if ((bytes[0] & 4) != 0) options.stops = {"STOP"};
    CompletionParser parser(options);
    CompletionMessage message;
    for (size_t at = 0; at < text.size(); at += piece) {
      for (const CompletionDelta& delta : parser.push(text.substr(at, piece))) message.add(delta);
    }
    for (const CompletionDelta& delta : parser.finish((bytes[0] & 8) != 0)) message.add(delta);
    require(parser.ended(), "what is finished has ended");
    return message;
  };
  const CompletionMessage whole = parse(text.size() + 1), parts = parse(1 + bytes[1] % 40u);
  require(whole.content == parts.content && whole.reasoning == parts.reasoning, "pieces are the same text");
  require(whole.calls.size() == parts.calls.size(), "pieces are the same calls");
  for (size_t i = 0; i < whole.calls.size(); ++i) {
    require(whole.calls[i].name == parts.calls[i].name && whole.calls[i].arguments == parts.calls[i].arguments,
            "pieces are the same arguments");
    require(!invalid_utf8(whole.calls[i].arguments), "arguments are text");
    const bool whole_call = (bytes[0] & 8) == 0 || i + 1 < whole.calls.size();
    require(!whole_call || PyJson::parse(whole.calls[i].arguments).has_value(), "arguments are JSON");
  }
  require(!invalid_utf8(whole.content) && !invalid_utf8(whole.reasoning), "text is text");
  for (const char* mark : {"<think>", "</think>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜DSML｜invoke", "</｜DSML｜"}) {
    const bool is_text = (bytes[0] & 2) != 0 && std::string_view(mark).find("DSML") != std::string_view::npos;
    require(is_text || (whole.content + "\n" + whole.reasoning).find(mark) == std::string::npos, "no mark is shown");
  }
  return !whole.calls.empty();
}

}  // namespace dsv4::fuzz
