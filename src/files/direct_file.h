// Reads of one file that go past the page cache, where the file system can: bytes come from the drive at its speed, and nothing is held twice.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "files/descriptor.h"

namespace dsv4 {

/// A file open for reading. Its reads may be made by any number of threads at once. The descriptor keeps the file that was opened, whatever takes its name later.
class DirectFile {
 public:
  /// `shown` is what errors call the file: its path, made fit for a line; the path as it is where empty. Error when it cannot be opened or is no regular file.
  explicit DirectFile(const std::filesystem::path& path, std::string shown = {});

  /// Whether reads go past the page cache. Where the file system cannot do that, which may show at the first read only, they are buffered: without read-ahead,
  /// and what was read does not stay in the page cache.
  bool direct() const { return direct_.load(std::memory_order_relaxed); }
  /// When it was opened.
  uint64_t size() const { return size_; }
  /// A power of two; offsets in the file and addresses of memory are multiples of it.
  size_t alignment() const { return alignment_; }

  /// Bytes [begin, end) of the file to `to`; begin, end and `to` are multiples of alignment(). `end` may lie behind the end of the file as long as `needed`, the
  /// end of what has to be there, does not. Error, naming the file, when it has become shorter, was changed or cannot be read; what `to` holds then is undefined.
  void read(uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) const;

  /// Error when the file was written to, cut or made longer since it was opened.
  void check_unchanged() const;

 private:
  void read_buffered_from_now_on() const;
  [[noreturn]] void fail_read(uint64_t at, int error) const;

  std::string shown_;
  Descriptor file_;
  mutable std::atomic<bool> direct_ = false;
  size_t alignment_ = 0;
  uint64_t size_ = 0;
  int64_t modified_ = 0;  // in nanoseconds since 1970
};

}  // namespace dsv4
