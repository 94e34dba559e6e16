// Reading and writing whole files.
#include "convert/text_file.h"

#include <fstream>
#include <iterator>

#include "checkpoint/json_fields.h"
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
  constexpr JsonFile kSmallFile = {"JSON file", "one of a checkpoint's JSON files", 16u << 20};
  return parse_ordered_json_object(read_json_text(path, kSmallFile), path_text(path), kSmallFile);
}

}  // namespace dsv4
