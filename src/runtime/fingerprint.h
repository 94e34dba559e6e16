// What tells one model folder from another of equal shapes, and one state from a damaged one: hashes (XXH3-128).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/content_hash.h"

namespace dsv4 {

/// A hash of what is added. Of numbers and texts the length goes in first, so that where one ends and the next begins matters.
class Digest {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(int64_t number);
  /// Bytes [begin, end) of an open file, without their number. False when it ends before; Error (with `path`) when it cannot be read.
  bool add_file_range(int descriptor, const std::filesystem::path& path, int64_t begin, int64_t end);
  /// 32 hexadecimal digits.
  std::string text() const;

 private:
  ContentHasher hasher_;
};

/// Of a model folder: what its dsv4_files.json says of the weights, config.json, openvino_model.xml, and openvino_model.bin: all of a small one, of a large one
/// its size and blocks of 4 KiB spread over it evenly, 16 MiB in all, because reading a model of the disk's size takes minutes.
class Fingerprint {
 public:
  /// Opens the files, so that it is of those that were there then. Error when one cannot be opened.
  explicit Fingerprint(const std::filesystem::path& folder);
  ~Fingerprint();
  Fingerprint(const Fingerprint&) = delete;
  Fingerprint& operator=(const Fingerprint&) = delete;

  /// Error when openvino_model.bin has become shorter since it was opened: what is mapped of its last page reads as zeros then, without a fault.
  void check_weights_present() const;

  /// Computed when it is first asked for; thread-safe. Error when a file cannot be read.
  const std::string& text() const;

 private:
  struct File {
    std::filesystem::path path;
    int descriptor = -1;
    int64_t bytes = 0;  // when it was opened
  };
  std::string computed() const;

  std::filesystem::path folder_;
  std::vector<File> files_;
  mutable std::once_flag once_;
  mutable std::string text_;
};

}  // namespace dsv4
