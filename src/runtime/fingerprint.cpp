// XXH3-128 by libxxhash, of memory and of files.
#include "runtime/fingerprint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

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

struct Digest::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh;
};

Digest::Digest() : state_(std::make_unique<State>()) {}
Digest::~Digest() = default;

void Digest::add(std::span<const std::byte> bytes) {
  add(static_cast<int64_t>(bytes.size()));
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

void Digest::add(int64_t number) { XXH3_128bits_update(state_->xxh, &number, sizeof number); }

std::string Digest::text() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint64_t half : {hash.high64, hash.low64}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[half >> shift & 15];
  }
  return text;
}

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
