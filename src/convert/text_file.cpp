// Reading and writing whole files.
#include "convert/text_file.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open() || in.bad()) fail("cannot read ", path_text(path), "; check its permissions");
  return text;
}

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) fail("cannot write ", path_text(path), ": is the disk full?");
}

nlohmann::ordered_json read_json_object(const fs::path& path) {
  constexpr uintmax_t kMaxBytes = 16u << 20;
  constexpr int kMaxNesting = 32;
  std::error_code error;
  if (const uintmax_t bytes = fs::file_size(path, error); !error && bytes > kMaxBytes) {
    fail(path_text(path), ": ", bytes, " bytes, expected a JSON file of at most ", kMaxBytes);
  }
  const std::string text = read_text(path);
  const auto check_nesting = [&](int depth, nlohmann::ordered_json::parse_event_t, nlohmann::ordered_json&) {
    if (depth > kMaxNesting)
      fail(path_text(path), ": nested deeper than ", kMaxNesting, " levels, expected one of a checkpoint's JSON files");
    return true;
  };
  nlohmann::ordered_json json;
  try {
    json = nlohmann::ordered_json::parse(text, check_nesting);
  } catch (const nlohmann::json::parse_error& parse_error) {
    fail(path_text(path), ": not valid JSON at byte ", parse_error.byte, "; the file is damaged");
  } catch (const nlohmann::json::exception&) {
    fail(path_text(path), ": holds a number that no double can hold; the file is damaged");
  }
  if (!json.is_object()) fail(path_text(path), ": found JSON that is not an object, expected an object");
  return json;
}

}  // namespace dsv4
