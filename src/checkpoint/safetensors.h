// One safetensors file, memory-mapped: its header parsed and checked, its tensors as views into the map.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/dtype.h"
#include "files/shared_memory.h"

namespace dsv4 {

/// Where a tensor lies in its file: [begin, end) counted from the end of the header.
struct TensorEntry {
  DType dtype;
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Parsed and checked header of a safetensors file.
struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;        ///< the texts of __metadata__, of which nothing is needed
  bool odd_metadata = false;                          ///< __metadata__ holds something else too, which was skipped
  std::map<std::string, std::string> unknown_dtypes;  ///< by tensor name: what its dtype is called, where it is DType::kUnknown
  uint64_t data_offset = 0;                           ///< first data byte in the file: 8 + header length

  /// The dtype as the header spells it.
  std::string_view dtype_text(const std::string& tensor) const;
};

/// Parses the bytes at the start of a file of `file_size` bytes (`head` holds at least 8 + header length bytes, or the whole file if it
/// is shorter). Checks: length field, JSON, shapes that fit 64 bits, offsets inside the file, sizes = shape x dtype where the dtype is known, no
/// overlap, no hole, no duplicate name. Throws Error naming `file` and the tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, uint64_t file_size, const std::string& file);

/// What tells whether a file is the one that was read before, as far as its disk says.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified = 0;  ///< contents, in nanoseconds since 1970; a program can set it
  int64_t changed = 0;   ///< contents, name or permissions, in nanoseconds since 1970; only the kernel sets it

  bool operator==(const FileIdentity&) const = default;
};

/// A read-only map of one file. Pages are read on first touch and can be given back with `release`.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return identity_.bytes; }
  /// When it was opened.
  const FileIdentity& identity() const { return identity_; }
  const SafetensorsHeader& header() const { return header_; }

  /// The tensor's bytes, at any alignment. Throws Error when the file on disk is now shorter than when it was opened (a read would be
  /// SIGBUS).
  std::span<const std::byte> bytes(const std::string& tensor) const;
  /// The same for an entry of this file's header.
  std::span<const std::byte> bytes(const TensorEntry& entry) const;

  /// Throws Error when the file on disk no longer reaches the end of this range (of a `bytes` span or part of one).
  void check_present(std::span<const std::byte> range) const;

  /// Throws Error when the file on disk is no longer the one that was opened: written to, truncated or made longer.
  void check_unchanged() const;
  /// Whether anything at all has happened to the file since it was opened, also what leaves its time of modification as it was.
  bool touched() const;

  /// Tells the kernel to begin reading the pages of this range (of a `bytes` span or part of one): they will be needed soon.
  void prefetch(std::span<const std::byte> range) const;

  /// Tells the kernel that the pages of this range (of a `bytes` span or part of one) are no longer needed: RSS falls, the data stay valid.
  void release(std::span<const std::byte> range) const;
  /// The same of the whole file: also the pages that tensors share, and those that the kernel mapped around the ones that were read.
  void release() const;

  /// Bytes from the start of the file to those of a `bytes` span or part of one.
  uint64_t offset_of(std::span<const std::byte> range) const { return static_cast<uint64_t>(range.data() - map_); }
  /// Pages of [begin, end) of the file, whole pages, that are in memory; all of them where the kernel does not tell this user.
  uint64_t pages_in_memory(uint64_t begin, uint64_t end) const;
  /// Opens the file that this one has opened, whatever has its name by now.
  std::filesystem::path path_of_descriptor() const;
  /// From now on the map shows `memory` from `from` on in place of the file's bytes [begin, end), whole pages, to all threads at once; it has to hold the same
  /// bytes. Error when the kernel does not.
  void show(const SharedMemory& memory, uint64_t begin, uint64_t end, uint64_t from) const;
  /// The map shows the file's own pages again.
  void show_file(uint64_t begin, uint64_t end) const;

 private:
  FileIdentity identity_now() const;

  std::filesystem::path path_;
  int fd_ = -1;
  FileIdentity identity_;
  const std::byte* map_ = nullptr;
  SafetensorsHeader header_;
};

}  // namespace dsv4
