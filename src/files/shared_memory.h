// Memory that can be shown at other addresses too, in place of pages of a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>

#include "files/descriptor.h"

namespace dsv4 {

/// Zeroed, aligned to pages, without a name. Error when there is none.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* data() const { return data_; }
  /// Puts the bytes [from, from + bytes) of it, whole pages, at `address`, in place of what is mapped there, at once for all threads: they may be read there.
  /// Error when the kernel does not.
  void show_at(void* address, size_t bytes, uint64_t from) const;

 private:
  Descriptor file_;
  std::byte* data_ = nullptr;
  size_t bytes_;
};

}  // namespace dsv4
