// The deltas of an answer put together, and both as JSON in the form of chat completions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/completion_parser.h"

namespace dsv4 {

struct CompletionCall {
  std::string id, name;
  std::string arguments;  ///< JSON text; of a call that was cut its beginning
};

/// A message of the assistant.
struct CompletionMessage {
  std::string content, reasoning;
  std::vector<CompletionCall> calls;

  /// In the order in which the parser gives them.
  void add(const CompletionDelta& delta);
};

/// `role`, `content`, `reasoning_content` and `tool_calls`, all of them always.
nlohmann::ordered_json message_json(const CompletionMessage& message);

/// What stands as `delta` in a chunk: `content`, `reasoning_content` or `tool_calls` with `index`, the first of a call with `id`, `type` and the function's name.
nlohmann::ordered_json delta_json(const CompletionDelta& delta);

}  // namespace dsv4
