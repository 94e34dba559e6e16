// The keys with which clients may ask.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_message.h"

namespace dsv4 {

class ApiKeys {
 public:
  /// Without keys everybody may ask.
  explicit ApiKeys(std::vector<std::string> keys = {}) : keys_(std::move(keys)) {}

  bool empty() const { return keys_.empty(); }
  /// ApiError 401 where the request has none of the keys, as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
  void check(const HttpRequest& request) const;
  /// Whether this is one of them; takes the same time wherever it differs.
  bool holds(std::string_view key) const;

 private:
  std::vector<std::string> keys_;
};

/// One key a line; empty lines are none. Error that names the file.
std::vector<std::string> read_key_file(const std::filesystem::path& file);

}  // namespace dsv4
