// Answers of models and the messages that they are, rule by rule (docs/completions.md).
#pragma once

#include <string>
#include <vector>

#include "text/completion_message.h"

namespace dsv4::testing_support {

/// "§" stands for the marker of DSML.
inline std::string dsml(const std::string& text) {
  std::string out;
  const std::string sign = "§";
  for (size_t at = 0;;) {
    const size_t next = text.find(sign, at);
    out += text.substr(at, next - at);
    if (next == std::string::npos) return out;
    out += "｜DSML｜";
    at = next + sign.size();
  }
}

struct CompletionCase {
  const char* name;
  const char* mode;  ///< "think" or "chat"; "cut" behind it: the answer was cut by the limit; "none": no tools
  std::string answer;
  std::string reasoning, content;
  std::vector<std::pair<std::string, std::string>> calls;  ///< name and arguments
};

/// What the cases' request declares.
inline const char* const kCaseTools = R"([
  {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
    "s": {"type": "string"}, "t": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"}, "b": {"type": "boolean"},
    "o": {"type": "object"}, "l": {"type": "array"}, "any": {}, "sn": {"type": ["string", "null"]}, "in": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "e": {"enum": ["x", "y"]}, "r": {"$ref": "#/$defs/Place"}}, "$defs": {"Place": {"type": "object"}}}}},
  {"type": "function", "function": {"name": "g"}},
  {"type": "function", "function": {"name": "has_input", "parameters": {"type": "object", "properties": {"input": {"type": "object"}, "a": {}}}}}])";

std::vector<CompletionCase> completion_cases();

}  // namespace dsv4::testing_support
