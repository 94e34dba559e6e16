// What the fuzz target of the chat format runs: any bytes must end in a prompt, or in dsv4::Error.
#pragma once

#include "checkpoint/utf8.h"
#include "fuzz/targets.h"
#include "text/chat_encoder.h"
#include "text/chat_json.h"
#include "text/chat_tokens.h"
#include "text/saved_chat.h"

namespace dsv4::fuzz {

/// Tells whether the input was accepted.
inline bool chat(std::span<const uint8_t> text) {
  try {
    const ChatJson json = read_chat_json(text_of(text), "C");
    for (const ChatRelease release : {ChatRelease::kOriginal, ChatRelease::k0731}) {
      const std::string prompt = encode_chat(json.chat, release);
      require(prompt.starts_with(chat_tokens::kBegin), "a prompt begins with its token");
      require(!invalid_utf8(prompt), "a prompt is text");
    }
    return true;
  } catch (const Error& error) {
    require_one_line(error, "C: ");
    return false;
  }
}

/// A file for /load.
inline bool saved_chat(std::span<const uint8_t> text) {
  try {
    const Conversation chat = read_saved_chat(text_of(text), "C");
    const std::string written = saved_chat_text(chat);
    require(saved_chat_text(read_saved_chat(written, "C")) == written, "what is written is read as the same");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "C: ");
    return false;
  }
}

/// A value alone, with fewer levels than a chat has.
inline bool python_json(std::span<const uint8_t> text) {
  PyJson::Problem problem;
  const std::optional<PyJson> json = PyJson::parse(text_of(text), &problem, 50);
  if (!json) {
    require(!PyJson::printed(text_of(text), 50), "what is not read is not printed");
    require(!problem.what.empty() && problem.byte <= text.size(), "a problem has a place");
    return false;
  }
  const std::string printed = json->dump();
  require(PyJson::printed(text_of(text), 50) == printed, "printed at once it is the same");
  const std::optional<PyJson> again = PyJson::parse(printed, nullptr, 50);
  require(again && again->dump() == printed, "what is printed is read as the same");
  return true;
}

}  // namespace dsv4::fuzz
