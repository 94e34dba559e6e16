// Reading and parsing of JSON files with limits.
#include "checkpoint/json_fields.h"

#include <fstream>

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

std::string read_json_text(const std::filesystem::path& file, const JsonFile& kind) {
  std::error_code ec;
  const std::filesystem::file_type type = std::filesystem::status(file, ec).type();
  if (type == std::filesystem::file_type::not_found) {
    const bool link = std::filesystem::is_symlink(std::filesystem::symlink_status(file, ec));
    fail(path_text(file), link ? ": a link to a file that is missing, expected " : ": no such file, expected ", kind.expected);
  }
  if (type == std::filesystem::file_type::directory) fail(path_text(file), ": is a directory, expected ", kind.expected);
  if (type != std::filesystem::file_type::regular) fail(path_text(file), ": is not a regular file, expected ", kind.expected);
  const uintmax_t size = std::filesystem::file_size(file, ec);
  if (ec) fail(path_text(file), ": cannot be read: ", ec.message());
  if (size > kind.max_bytes) fail(path_text(file), ": ", size, " bytes, expected a ", kind.noun, " of at most ", kind.max_bytes);
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream in(file, std::ios::binary);
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size()))) fail(path_text(file), ": cannot be read, check its permissions");
  return text;
}

}  // namespace dsv4
