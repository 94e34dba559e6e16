// Making dsv4_files.json and checking a folder against it.
#include "convert/file_list.h"

#include <algorithm>
#include <set>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "convert/text_file.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string file_list_text(std::vector<ListedFile> files) {
  std::sort(files.begin(), files.end(), [](const ListedFile& a, const ListedFile& b) { return a.name < b.name; });
  Json json;
  json["files"] = Json::object();
  for (const ListedFile& file : files) {
    Json& entry = json["files"][file.name];
    entry = {{"bytes", file.bytes}, {"xxh3_128", file.hash.hex()}};
    if (const auto& part = file.graph_constants) {
      entry["graph_constants"] = {{"offset", part->offset}, {"bytes", part->bytes}, {"xxh3_128", part->hash.hex()}};
    }
  }
  return json_file_text(json);
}

void list_again(const fs::path& folder, const std::string& name, std::string_view bytes) {
  std::optional<std::vector<ListedFile>> files = read_file_list(folder);
  if (!files) return;
  const auto found = std::find_if(files->begin(), files->end(), [&](const ListedFile& file) { return file.name == name; });
  if (found == files->end()) return;
  *found = {name, bytes.size(), content_hash(bytes)};
  const fs::path fresh = folder / concat(".", kFileListName, ".new");
  write_text(fresh, file_list_text(std::move(*files)));
  fs::rename(fresh, folder / kFileListName);
}

std::vector<FileFault> check_files(const fs::path& folder, const std::vector<ListedFile>& files,
                                   const std::function<void(uint64_t done, uint64_t total)>& progress) {
  uint64_t done = 0, total = 0;
  for (const ListedFile& file : files) total += file.bytes;
  std::vector<FileFault> faults;
  for (const ListedFile& file : files) {
    const auto fault = fault_of_file(folder / file.name, &file, Extent::kWhole, [&](uint64_t bytes) {
      done += bytes;
      if (progress) progress(done, total);
    });
    if (fault) faults.push_back({file.name, *fault});
  }
  return faults;
}

std::vector<std::string> unlisted_files(const fs::path& folder, const std::vector<ListedFile>& files) {
  std::set<std::string> listed = {kFileListName};
  for (const ListedFile& file : files) listed.insert(file.name);
  std::vector<std::string> others;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!listed.contains(name) && it->is_regular_file(error)) others.push_back(name);
  }
  std::sort(others.begin(), others.end());
  return others;
}

}  // namespace dsv4
