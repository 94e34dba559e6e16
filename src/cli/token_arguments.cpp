// Token ids on the command line.
#include "cli/token_arguments.h"

#include <charconv>
#include <limits>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"
#include "cli/text_arguments.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr const char* kSpaces = " \t\r\n";

/// The ids of a JSON object that has them as "tokens", such as `dsv4 run --json` and `dsv4 tokenize --json` print.
std::vector<int64_t> tokens_of_object(const std::string& text, const std::string& where) {
  const nlohmann::json object = parse_json_object(text, where, {"file of token ids", "{\"tokens\": [1, 2, 3]}", kMostTextBytes});
  const Fields fields(object, where);
  const nlohmann::json& ids = fields.need("tokens");
  if (!ids.is_array() || ids.empty()) fields.refuse("tokens", "found ", shown(ids), ", expected a list of token ids: [1, 2, 3]");
  std::vector<int64_t> tokens;
  for (const nlohmann::json& id : ids) {
    constexpr auto kLimits = std::numeric_limits<int64_t>();
    tokens.push_back(fields.as_integer("tokens", id, kLimits.min(), kLimits.max()));
  }
  return tokens;
}

}  // namespace

std::vector<int64_t> parse_tokens(const std::string& text, const std::string& where) {
  constexpr const char* kSeparators = ", \t\r\n";
  std::vector<int64_t> tokens;
  for (size_t begin = text.find_first_not_of(kSeparators); begin != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(kSeparators, begin), text.size());
    int64_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end) {
      fail(where, ": \"", text.substr(begin, std::min<size_t>(end - begin, 40)),
           "\" is not a token id; expected numbers separated by commas");
    }
    tokens.push_back(id);
    begin = text.find_first_not_of(kSeparators, end);
  }
  if (tokens.empty()) fail(where, ": no token ids; expected numbers separated by commas, such as 1,2,3");
  return tokens;
}

std::vector<int64_t> tokens_of_option(const std::string& text, const std::string& option) {
  try {
    return parse_tokens(text, option);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

std::vector<int64_t> tokens_of_text(const std::string& text, const std::string& where) {
  const size_t first = text.find_first_not_of(kSpaces), last = text.find_last_not_of(kSpaces);
  if (first != std::string::npos && text[first] == '{') return tokens_of_object(text, where);
  const bool array = first != std::string::npos && text[first] == '[' && text[last] == ']';
  return parse_tokens(array ? text.substr(first + 1, last - first - 1) : text, where);
}

std::vector<int64_t> read_tokens_file(const std::filesystem::path& path) {
  return tokens_of_text(read_text(path), path == kStandardInput ? "standard input" : path_text(path));
}

}  // namespace dsv4
