// XXH3-128 by libxxhash.
#include "checkpoint/content_hash.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kBufferBytes = 1 << 20;     // stays in a core's cache between the kernel's copy and the hash
constexpr uint64_t kAheadBytes = 32 << 20;   // asked of the disk before they are needed
constexpr uint64_t kReportBytes = 16 << 20;  // between two calls of `passed`

ContentHash converted(const XXH128_hash_t& hash) { return {hash.high64, hash.low64}; }

}  // namespace

std::string ContentHash::hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[half >> shift & 15];
  }
  return text;
}

std::optional<ContentHash> ContentHash::parse(std::string_view hex) {
  ContentHash hash;
  if (hex.size() != 32) return std::nullopt;
  for (uint64_t* half : {&hash.high, &hash.low}) {
    const char* begin = hex.data() + (half == &hash.low ? 16 : 0);
    const auto [end, error] = std::from_chars(begin, begin + 16, *half, 16);
    if (error != std::errc() || end != begin + 16) return std::nullopt;
  }
  return hash;
}

ContentHash content_hash(std::span<const std::byte> bytes) { return converted(XXH3_128bits(bytes.data(), bytes.size())); }

ContentHash content_hash(std::string_view text) { return converted(XXH3_128bits(text.data(), text.size())); }

ContentHash chained(const ContentHash& list, const ContentHash& next) {
  const uint64_t words[] = {list.high, list.low, next.high, next.low};
  return content_hash(std::as_bytes(std::span(words)));
}

struct ContentHasher::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh;
};

ContentHasher::ContentHasher() : state_(std::make_unique<State>()) {}
ContentHasher::~ContentHasher() = default;

void ContentHasher::update(std::span<const std::byte> bytes) { XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()); }

ContentHash ContentHasher::hash() const { return converted(XXH3_128bits_digest(state_->xxh)); }

bool hash_file_range(int fd, const std::filesystem::path& path, uint64_t begin, uint64_t end, ContentHasher& hasher,
                     const std::function<void(uint64_t bytes)>& passed) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, end - begin)));
  uint64_t asked = begin, unreported = 0;
  for (uint64_t at = begin; at < end;) {
    if (asked < end && asked < at + kAheadBytes / 2) {
      ::posix_fadvise(fd, static_cast<off_t>(asked), static_cast<off_t>(std::min(kAheadBytes, end - asked)), POSIX_FADV_WILLNEED);
      asked += std::min(kAheadBytes, end - asked);
    }
    const ssize_t got =
        ::pread(fd, buffer.data(), static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - at)), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_text(path), ": cannot be read: ", std::strerror(errno));
    if (got == 0) return false;
    hasher.update({buffer.data(), static_cast<size_t>(got)});
    at += static_cast<uint64_t>(got);
    unreported += static_cast<uint64_t>(got);
    if (unreported >= kReportBytes || at == end) passed(std::exchange(unreported, 0));
  }
  return true;
}

}  // namespace dsv4
