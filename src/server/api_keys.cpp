// Keys, compared without telling how much of one was right.
#include "server/api_keys.h"

#include <algorithm>

#include "checkpoint/quote.h"
#include "checkpoint/small_file.h"
#include "server/api_error.h"

namespace dsv4 {

namespace {

constexpr SmallFileKind kKeyFile = {"key file", "a file with an API key a line", 1u << 20};

/// Looks at all bytes of `given`, whatever `key` is.
bool equal_in_constant_time(std::string_view given, std::string_view key) {
  unsigned difference = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(key[i % key.size()]));
  }
  return difference == 0;
}

}  // namespace

bool ApiKeys::holds(std::string_view given) const {
  bool found = false;
  for (const std::string& key : keys_) found |= equal_in_constant_time(given, key);
  return found;
}

void ApiKeys::check(const HttpRequest& request) const {
  if (keys_.empty()) return;
  constexpr std::string_view kBearer = "bearer ";
  if (const std::string* header = find_header(request.headers, "authorization")) {
    std::string scheme = header->substr(0, kBearer.size());
    std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (scheme == kBearer && holds(std::string_view(*header).substr(kBearer.size()))) return;
  }
  if (const std::string* header = find_header(request.headers, "x-api-key"); header != nullptr && holds(*header)) return;
  throw ApiError(401, "no API key of this server; send Authorization: Bearer KEY", {}, "invalid_api_key");
}

std::vector<std::string> read_key_file(const std::filesystem::path& file) {
  const std::string text = read_named_file(file, kKeyFile);
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string key = text.substr(begin, end - begin);
    if (key.ends_with('\r')) key.pop_back();
    if (!key.empty()) keys.push_back(std::move(key));
    begin = end + 1;
  }
  if (keys.empty()) fail(path_text(file), ": no key; expected one a line");
  return keys;
}

}  // namespace dsv4
