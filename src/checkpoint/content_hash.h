// XXH3-128 of bytes, whole or as they pass: how source bytes, files of a model folder and states of a sequence are known again. Only content_hash.cpp includes
// xxhash.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dsv4 {

/// As `xxhsum -H128` computes it. Default: 0, the hash of nothing in particular.
struct ContentHash {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const ContentHash&) const = default;
  /// 32 hexadecimal digits in xxhsum's order.
  std::string hex() const;
  /// Of such digits; nothing for other text.
  static std::optional<ContentHash> parse(std::string_view hex);
};

ContentHash content_hash(std::span<const std::byte> bytes);
ContentHash content_hash(std::string_view text);

/// Hash of a list that grows: of the two hashes' 32 bytes.
ContentHash chained(const ContentHash& list, const ContentHash& next);

/// The same hash of bytes that come in parts.
class ContentHasher {
 public:
  ContentHasher();
  ~ContentHasher();
  ContentHasher(const ContentHasher&) = delete;
  ContentHasher& operator=(const ContentHasher&) = delete;

  void update(std::span<const std::byte> bytes);
  /// Of all bytes so far; more may follow.
  ContentHash hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Feeds bytes [begin, end) of an open file to `hasher`, at the speed of its disk: the next ones are being read while some are hashed. `passed(bytes)` is called
/// for some megabytes at a time and may throw to stop. False when the file ends before `end`; Error (with `path`) when it cannot be read.
bool hash_file_range(int fd, const std::filesystem::path& path, uint64_t begin, uint64_t end, ContentHasher& hasher,
                     const std::function<void(uint64_t bytes)>& passed);

}  // namespace dsv4
