// What the fuzz targets of the server run: any bytes must end in requests, or in a problem with a status.
#pragma once

#include "checkpoint/utf8.h"
#include "fuzz/targets.h"
#include "server/api_error.h"
#include "server/http_parser.h"
#include "server/openai_request.h"
#include "text/chat_encoder.h"

namespace dsv4::fuzz {

/// The first byte says in how large pieces the others come; every size has to give the same. Tells whether there was a whole request.
inline bool http_request(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return false;
  constexpr HttpLimits kLimits = {.head = 2000, .body = 2000};
  const std::string_view text = text_of(bytes.subspan(1));
  HttpParser whole(kLimits), pieces(kLimits);
  const size_t taken = whole.push(text);
  const size_t piece = 1 + bytes[0] % 32;
  size_t at = 0;
  while (at < text.size() && !pieces.done() && !pieces.problem()) at += pieces.push(text.substr(at, piece));
  require(whole.done() == pieces.done(), "pieces change whether a request is whole");
  require(whole.problem().has_value() == pieces.problem().has_value(), "pieces change whether a request is refused");
  if (whole.problem()) {
    require(whole.problem()->status == pieces.problem()->status && whole.problem()->status >= 400, "a problem has a status");
    require(whole.problem()->what.find('\n') == std::string::npos && whole.problem()->what.size() < 1000, "a problem is one line");
    return false;
  }
  if (!whole.done()) return false;
  require(taken == at, "pieces change where a request ends");
  const HttpRequest one = whole.take(), other = pieces.take();
  require(one.body == other.body && one.path == other.path && one.headers == other.headers, "pieces change a request");
  require(one.body.size() <= kLimits.body && !one.path.empty(), "a request keeps to the limits");
  return true;
}

/// A body of one of the two APIs: a request whose prompt is text, or an error with a status that is one line.
inline bool api_body(std::span<const uint8_t> bytes) {
  bool accepted = false;
  const auto checked = [&accepted](auto function) {
    try {
      function();
      accepted = true;
    } catch (const ApiError& error) {
      require(error.status() == 400, "a body that is wrong is the client's fault");
      require_one_line(error, "");
      require(!invalid_utf8(openai_error_json(error)), "an error is text");
    }
  };
  checked([&bytes] {
    const ChatRequest request = parse_chat_request(text_of(bytes), {});
    require(!invalid_utf8(encode_chat(request.chat, ChatRelease::kOriginal)), "a prompt is text");
    require(request.generation.choices >= 1 && request.generation.choices <= kMostChoices, "choices are bounded");
  });
  checked([&bytes] {
    const CompletionRequest request = parse_completion_request(text_of(bytes), {});
    require(!request.prompts.empty() && request.prompts.size() <= kMostPrompts, "prompts are bounded");
  });
  return accepted;
}

}  // namespace dsv4::fuzz
