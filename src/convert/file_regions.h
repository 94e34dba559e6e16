// Parts of a growing file in memory: filled by any thread in any order, written past the page cache, each as a whole.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "files/descriptor.h"
#include "files/direct_file.h"
#include "files/page_memory.h"

namespace dsv4 {

/// Through the page cache a gigabyte costs a processor 0.5 seconds and more, past it a tenth of that. What is in no region is in the file; what is in one is in the
/// file after write_all(), or once it had to make room. WriteError when the file cannot be written. Any thread.
class FileRegions {
 public:
  /// Both descriptors are of this file, open for writing; `direct`, with O_DIRECT, is closed in the end. The file has `bytes` bytes, all of them zero unless
  /// `written_before`.
  FileRegions(int direct, int buffered, const std::filesystem::path& path, uint64_t bytes, bool written_before);

  void write_at(uint64_t offset, const std::byte* data, size_t bytes);
  /// Replaces one byte by what `change` makes of it.
  void change_byte(uint64_t offset, const std::function<std::byte(std::byte)>& change);
  /// The bytes [begin, end), a part at a time.
  void visit(uint64_t begin, uint64_t end, const std::function<void(std::span<const std::byte>)>& part);

  /// Nobody needs what lies before `end` any more: a region of it, if one is in memory, is written and gives its memory back.
  void write_one_before(uint64_t end);
  /// Everything that was written when this was called is in the file.
  void write_all();

 private:
  struct Region {
    std::byte* memory = nullptr;
    int users = 0;
    bool busy = false;  // being read from the file or written to it
    bool dirty = false;
    uint64_t last_use = 0;
  };
  using Regions = std::map<uint64_t, Region>;
  using Lock = std::unique_lock<std::mutex>;

  template <class F>
  void each(uint64_t begin, uint64_t end, bool write, const F& part);
  Region& hold(uint64_t index);
  void let_go(Region& region, bool written);
  Regions::iterator to_put_away();
  void put_away(Lock& lock, Regions::iterator region);
  void write_region(Lock& lock, uint64_t index, Region& region);
  void read_region(uint64_t index, std::byte* to) const;
  void write_bytes(uint64_t offset, const std::byte* data, size_t bytes);
  size_t bytes_of(uint64_t index) const;

  Descriptor direct_;
  int buffered_;
  std::atomic<bool> refused_ = false;  // direct writes, by the file system
  std::filesystem::path path_;
  uint64_t bytes_;
  DirectFile file_;  // for reading regions again
  size_t most_;      // regions in memory
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> stored_;  // regions of which the file has something
  Regions regions_;
  std::vector<PageMemory> memory_;  // of all regions that ever were at once
  std::vector<std::byte*> spare_;
  uint64_t clock_ = 0, unneeded_ = 0;
};

}  // namespace dsv4
