// What goes into a hash of a state and of a folder.
#include "runtime/fingerprint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int64_t kBlock = 4096, kBlocks = 4096;  // of a large file
constexpr int64_t kWhole = int64_t{64} << 20;     // bytes of a file that is read whole

/// What the folder's own list says of its weights, of which every byte has gone into the hash; nothing where there is no list.
std::string listed_weights(const std::filesystem::path& folder) {
  const std::optional<std::vector<ListedFile>> files = read_file_list(folder);
  const ListedFile* weights = files ? find_listed(*files, kModelBin) : nullptr;
  return weights == nullptr ? std::string() : concat(weights->bytes, ' ', weights->hash.hex());
}

}  // namespace

void Digest::add(std::span<const std::byte> bytes) {
  add(static_cast<int64_t>(bytes.size()));
  hasher_.update(bytes);
}

void Digest::add(int64_t number) { hasher_.update(std::as_bytes(std::span(&number, 1))); }

bool Digest::add_file_range(int descriptor, const std::filesystem::path& path, int64_t begin, int64_t end) {
  return hash_file_range(descriptor, path, static_cast<uint64_t>(begin), static_cast<uint64_t>(end), hasher_, [](uint64_t) {});
}

std::string Digest::text() const { return hasher_.hash().hex(); }

Fingerprint::Fingerprint(const std::filesystem::path& folder) : folder_(folder) {
  for (const char* name : {"config.json", kModelXml, kModelBin}) {
    files_.push_back({folder / name, -1});  // (a place first, so that a descriptor always has one)
    File& file = files_.back();
    file.descriptor = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status {};
    if (file.descriptor >= 0 && ::fstat(file.descriptor, &status) == 0) file.bytes = status.st_size;
  }
}

Fingerprint::~Fingerprint() {
  for (const File& file : files_) {
    if (file.descriptor >= 0) ::close(file.descriptor);
  }
}

void Fingerprint::check_weights_present() const {
  const File& weights = files_.back();
  struct stat status {};
  if (::fstat(weights.descriptor, &status) == 0 && status.st_size >= weights.bytes) return;
  fail(path_text(weights.path), ": the file was ", weights.bytes, " bytes when it was opened and is now ", status.st_size,
       "; it was truncated while in use, restore it and start again");
}

const std::string& Fingerprint::text() const {
  std::call_once(once_, [this] { text_ = computed(); });
  return text_;
}

std::string Fingerprint::computed() const {
  Digest digest;
  digest.add(listed_weights(folder_));
  for (const File& file : files_) {
    struct stat status {};
    if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0)
      fail(path_text(file.path), ": cannot be read: ", std::strerror(errno));
    const int64_t size = status.st_size;
    digest.add(size);
    const bool whole = size <= kWhole;
    const int64_t length = whole ? size : kBlock, count = whole ? 1 : kBlocks;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = (size - length) / std::max<int64_t>(1, count - 1) * i;
      if (!digest.add_file_range(file.descriptor, file.path, begin, begin + length)) {
        fail(path_text(file.path), ": has become shorter since it was opened");
      }
    }
  }
  return digest.text();
}

}  // namespace dsv4
