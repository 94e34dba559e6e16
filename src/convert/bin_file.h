// The file that openvino_model.bin grows in: room reserved at once, written at any offset by several threads, goes on where an earlier run stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>

#include "checkpoint/content_hash.h"
#include "convert/errors.h"
#include "convert/file_regions.h"

namespace dsv4 {

/// Where converted rows go.
class PieceSink {
 public:
  virtual ~PieceSink() = default;

  /// Any thread.
  virtual void write_at(uint64_t offset, const void* data, size_t bytes) = 0;
  /// Four-bit codes, a byte each in `codes`, from the nibble `first` on, counted from byte `offset` (even nibbles are low). Neighbours that share the
  /// first or last byte stay as they are; any thread.
  virtual void write_nibbles(uint64_t offset, uint64_t first, const uint8_t* codes, size_t count) = 0;
};

/// The file itself. WriteError when it cannot be written.
class BinFile final : public PieceSink {
 public:
  /// Opens `path`, created if need be, with room for exactly `bytes`. Bytes that are there stay, beyond that length they go. WriteError when the disk has no room.
  /// `direct`: written past the page cache, where the file system can.
  BinFile(const std::filesystem::path& path, uint64_t bytes, bool direct);
  ~BinFile() override;
  BinFile(const BinFile&) = delete;
  BinFile& operator=(const BinFile&) = delete;

  void write_at(uint64_t offset, const void* data, size_t bytes) override;
  void write_nibbles(uint64_t offset, uint64_t first, const uint8_t* codes, size_t count) override;

  /// Feeds what was written to [begin, end) to `hasher`; `passed` as of hash_file_range. WriteError where the file ends before `end`.
  void hash(uint64_t begin, uint64_t end, ContentHasher& hasher, const std::function<void(uint64_t bytes)>& passed);
  /// Nobody writes to what lies before `end` or hashes it any more: some of it, if it waits in memory, goes to the disk.
  void finished_before(uint64_t end);

  /// What was written so far survives a loss of power.
  void sync();
  /// WriteError also when the file has not the length that was planned.
  void close();

 private:
  void write_half_byte(uint64_t offset, uint64_t nibble, uint8_t code);

  std::filesystem::path path_;
  uint64_t bytes_;
  int fd_ = -1;
  std::unique_ptr<FileRegions> regions_;  // null: through the page cache
  std::mutex writing_, shared_bytes_;
};

}  // namespace dsv4
