// Token ids on the command line.
#include "cli/token_arguments.h"

#include <charconv>

#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "dsv4/error.h"

namespace dsv4 {

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

std::vector<int64_t> read_tokens_file(const std::filesystem::path& path) {
  std::string text = read_named_file(path, {"file of token ids", "a file of token ids", 256u << 20});
  const size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[' && text[last] == ']') text = text.substr(first + 1, last - first - 1);
  return parse_tokens(text, path_text(path));
}

}  // namespace dsv4
