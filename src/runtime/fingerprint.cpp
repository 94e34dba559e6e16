// What goes into a hash of a state and of a folder.
#include "runtime/fingerprint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checkpoint/json_fields.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int64_t kBlock = 4096, kBlocks = 4096;  // of a large file
constexpr int64_t kWhole = int64_t{64} << 20;     // bytes of a file that is read whole
constexpr int64_t kBuffer = int64_t{1} << 20;

constexpr JsonFile kListFile = {"list", "the dsv4_files.json of a model folder", 4u << 20};

/// What the folder's own list says of its weights, of which every byte has gone into the hash; nothing where there is no list.
std::string listed_weights(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "dsv4_files.json";
  if (!std::filesystem::exists(file)) return {};
  const nlohmann::json list = parse_json_object(read_json_text(file, kListFile), file.string(), kListFile);
  const Fields fields(list, file.string());
  const Fields files = fields.as_object("files", fields.need("files"));
  const nlohmann::json* weights = files.find("openvino_model.bin");
  return weights == nullptr ? std::string() : shown(*weights);
}

}  // namespace

void Digest::add(std::span<const std::byte> bytes) {
  add(static_cast<int64_t>(bytes.size()));
  hasher_.update(bytes);
}

void Digest::add(int64_t number) { hasher_.update(std::as_bytes(std::span(&number, 1))); }

std::string Digest::text() const { return hasher_.hash().hex(); }

Fingerprint::Fingerprint(const std::filesystem::path& folder) : folder_(folder) {
  for (const char* name : {"config.json", "openvino_model.xml", "openvino_model.bin"}) {
    files_.push_back({folder / name, -1});  // (a place first, so that a descriptor always has one)
    files_.back().descriptor = ::open(files_.back().path.c_str(), O_RDONLY | O_CLOEXEC);
  }
}

Fingerprint::~Fingerprint() {
  for (const File& file : files_) {
    if (file.descriptor >= 0) ::close(file.descriptor);
  }
}

const std::string& Fingerprint::text() const {
  std::call_once(once_, [this] { text_ = computed(); });
  return text_;
}

std::string Fingerprint::computed() const {
  Digest digest;
  digest.add(listed_weights(folder_));
  std::vector<std::byte> buffer(static_cast<size_t>(kBuffer));
  for (const File& file : files_) {
    const auto refuse = [&] { fail(file.path.string(), ": cannot be read: ", std::strerror(errno)); };
    struct stat status {};
    if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) refuse();
    const int64_t size = status.st_size;
    digest.add(size);
    const bool whole = size <= kWhole;
    const int64_t length = whole ? kBuffer : kBlock, count = whole ? (size + kBuffer - 1) / kBuffer : kBlocks;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = whole ? i * kBuffer : (size - kBlock) / (kBlocks - 1) * i, bytes = std::min(length, size - begin);
      for (int64_t got = 0; got < bytes;) {
        const ssize_t n = ::pread(file.descriptor, buffer.data() + got, static_cast<size_t>(bytes - got), begin + got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) refuse();
        if (n == 0) fail(file.path.string(), ": has become shorter since it was opened");
        got += n;
      }
      digest.add(std::span(buffer).first(static_cast<size_t>(bytes)));
    }
  }
  return digest.text();
}

}  // namespace dsv4
