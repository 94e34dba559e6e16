// Reading dsv4_files.json.
#include "checkpoint/listed_files.h"

#include <algorithm>
#include <limits>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr JsonFile kListFile = {kFileListName, "the dsv4_files.json of a model folder", 4u << 20};

}  // namespace

std::optional<std::vector<ListedFile>> read_file_list(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFileListName;
  const std::optional<std::string> text = read_small_file_if_there(path, kListFile);
  if (!text) return std::nullopt;
  const std::string where = path_text(path);
  const nlohmann::json json = parse_json_object(*text, where, kListFile);
  const Fields top(json, where);
  const nlohmann::json& entries = top.need("files");
  top.as_object("files", entries);
  std::vector<ListedFile> files;
  for (const auto& [name, entry] : entries.items()) {
    const Fields fields = Fields(entries, where, "files.").as_object(name, entry);
    if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..") fields.refuse("", "not the name of a file");
    const std::string hex = fields.as_text("xxh3_128", fields.need("xxh3_128"));
    const std::optional<ContentHash> hash = ContentHash::parse(hex);
    if (!hash) fields.refuse("xxh3_128", "found ", quote(hex), ", expected 32 hexadecimal digits");
    files.push_back({name, static_cast<uint64_t>(fields.integer("bytes", 0, std::numeric_limits<int64_t>::max())), *hash});
  }
  return files;
}

const ListedFile* find_listed(const std::vector<ListedFile>& files, std::string_view name) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const ListedFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

std::optional<std::string> fault_of_size(const ListedFile& file, uint64_t bytes) {
  return bytes == file.bytes ? std::nullopt : std::optional(concat("has ", bytes, " bytes instead of ", file.bytes));
}

std::optional<std::string> fault_of_hash(const ListedFile& file, const ContentHash& hash) {
  return hash == file.hash ? std::nullopt
                           : std::optional(concat("has other contents: XXH3-128 ", hash.hex(), " instead of ", file.hash.hex()));
}

}  // namespace dsv4
