// Making dsv4_files.json and checking a folder against it.
#include "convert/file_list.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "checkpoint/descriptor.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "convert/text_file.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

/// What is wrong with a file, or nothing.
std::optional<std::string> fault_of(const fs::path& path, const ListedFile& file, const std::function<void(uint64_t)>& passed) {
  const Descriptor open(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (open.fd < 0) return errno == ENOENT ? std::string("is missing") : concat("cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (::fstat(open.fd, &status) != 0) return concat("cannot be read: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return std::string("is not a regular file");
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (std::optional<std::string> fault = fault_of_size(file, bytes)) return fault;
  ContentHasher hasher;
  if (!hash_file_range(open.fd, path, 0, bytes, hasher, passed)) return std::string("became shorter while it was read");
  return fault_of_hash(file, hasher.hash());
}

}  // namespace

std::string file_list_text(std::vector<ListedFile> files) {
  std::sort(files.begin(), files.end(), [](const ListedFile& a, const ListedFile& b) { return a.name < b.name; });
  Json json;
  json["files"] = Json::object();
  for (const ListedFile& file : files) json["files"][file.name] = {{"bytes", file.bytes}, {"xxh3_128", file.hash.hex()}};
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
    const auto fault = fault_of(folder / file.name, file, [&](uint64_t bytes) {
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
