// Parsing of JSON files with limits.
#include "checkpoint/json_fields.h"

#include <algorithm>

#include "checkpoint/foreign_content.h"
#include "checkpoint/quote.h"

namespace dsv4 {
namespace {

using nlohmann::json;

constexpr int kMaxNesting = 64;

/// The parser itself is safe at any depth; values nested this deep are in no file that is read here, and nothing downstream should have to walk them.
void check_nesting(std::string_view text, const std::string& where, const JsonFile& kind) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) fail(where, ": nested deeper than ", kMaxNesting, " levels at byte ", i, ", expected ", kind.expected);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

template <class Json>
std::string short_text(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

template <class Json>
Json parse_object(std::string_view text, const std::string& where, const JsonFile& kind) {
  if (text.size() > kind.max_bytes) fail(where, ": ", text.size(), " bytes, expected a ", kind.noun, " of at most ", kind.max_bytes);
  if (const std::string other = foreign_content(text.substr(0, 512)); !other.empty()) fail(where, ": ", other);
  check_nesting(text, where, kind);
  Json document;
  try {
    document = Json::parse(text.begin(), text.end());
  } catch (const json::parse_error& error) {
    fail(where, ": not valid JSON at byte ", error.byte, ", expected ", kind.expected);
  } catch (const json::exception&) {
    fail(where, ": holds a number that no double can hold, expected ", kind.expected);
  }
  if (!document.is_object()) fail(where, ": found ", short_text(document), ", expected a JSON object");
  return document;
}

}  // namespace

std::string shown(const json& value) { return short_text(value); }

json parse_json_object(std::string_view text, const std::string& where, const JsonFile& kind) {
  return parse_object<json>(text, where, kind);
}

nlohmann::ordered_json parse_ordered_json_object(std::string_view text, const std::string& where, const JsonFile& kind) {
  return parse_object<nlohmann::ordered_json>(text, where, kind);
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

}  // namespace dsv4
