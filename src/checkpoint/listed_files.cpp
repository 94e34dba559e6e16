// Reading dsv4_files.json, and files held against it.
#include "checkpoint/listed_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "files/descriptor.h"

namespace dsv4 {

namespace {

constexpr JsonFile kListFile = {kFileListName, "the dsv4_files.json of a model folder", 4u << 20};

uint64_t size_field(const Fields& fields, const char* name, uint64_t at_most) {
  return static_cast<uint64_t>(fields.integer(name, 0, static_cast<int64_t>(at_most)));
}

ContentHash hash_field(const Fields& fields) {
  const std::string hex = fields.as_text("xxh3_128", fields.need("xxh3_128"));
  const std::optional<ContentHash> hash = ContentHash::parse(hex);
  if (!hash) fields.refuse("xxh3_128", "found ", quote(hex), ", expected 32 hexadecimal digits");
  return *hash;
}

std::optional<std::string> fault_of_part(int fd, const std::filesystem::path& path, const ListedPart& part) {
  ContentHasher hasher;
  if (!hash_file_range(fd, path, part.offset, part.offset + part.bytes, hasher, [](uint64_t) {})) {
    return std::string("became shorter while it was read");
  }
  if (hasher.hash() == part.hash) return std::nullopt;
  return concat("has other graph constants: XXH3-128 ", hasher.hash().hex(), " instead of ", part.hash.hex(), " of ", part.bytes,
                " bytes at ", part.offset);
}

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
    ListedFile& file =
        files.emplace_back(ListedFile{name, size_field(fields, "bytes", std::numeric_limits<int64_t>::max()), hash_field(fields)});
    if (const nlohmann::json* part = fields.find("graph_constants")) {
      const Fields of_part = fields.as_object("graph_constants", *part);
      const uint64_t offset = size_field(of_part, "offset", file.bytes);
      file.graph_constants = {offset, size_field(of_part, "bytes", file.bytes - offset), hash_field(of_part)};
    }
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

std::optional<std::string> fault_of_file(const std::filesystem::path& path, const ListedFile* listed, Extent extent,
                                         const std::function<void(uint64_t bytes)>& passed) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return errno == ENOENT ? std::string("is missing") : concat("cannot be opened: ", std::strerror(errno));
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) return concat("cannot be read: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return std::string("is not a regular file");
  if (listed == nullptr) return std::nullopt;
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (std::optional<std::string> fault = fault_of_size(*listed, bytes)) return fault;
  if (extent == Extent::kWhole) {
    ContentHasher hasher;
    if (!hash_file_range(file.fd, path, 0, bytes, hasher, passed)) return std::string("became shorter while it was read");
    if (std::optional<std::string> fault = fault_of_hash(*listed, hasher.hash())) return fault;
  }
  return listed->graph_constants ? fault_of_part(file.fd, path, *listed->graph_constants) : std::nullopt;
}

}  // namespace dsv4
