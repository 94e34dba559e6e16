// A line of `dsv4 run --prompts`: a prompt, and what of the command's options is otherwise for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dsv4/request.h"

namespace dsv4 {

/// A prompt of a million tokens has some seven megabytes. Parsed, ids take ten times their bytes.
constexpr size_t kMostLineBytes = 32u << 20;

struct PromptLine {
  std::optional<std::string> prompt;  ///< a text; else request.prompt has the ids
  std::string id;                     ///< JSON, as it is to be printed; empty: none
  Request request;                    ///< but for the ids of a text
  std::vector<std::string> stop;
};

/// Reads {"prompt" or "tokens", "id"?, "max_new_tokens"?, "temperature"?, "top_p"?, "top_k"?, "min_p"?, "seed"?, "stop"?}; a field that is missing or null
/// is as in `defaults` and `stop`. Error that names the field for whatever is not as expected: other fields, fields that come twice, wrong types, numbers out of
/// range, text that is no UTF-8 or has half of a surrogate pair.
PromptLine read_prompt_line(std::string_view line, const Request& defaults, const std::vector<std::string>& stop);

}  // namespace dsv4
