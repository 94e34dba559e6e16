// Zeroed memory from the kernel that costs nothing until it is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace dsv4 {

/// Page-aligned. Not counted against the machine's memory before use (MAP_NORESERVE).
class LazyMemory {
 public:
  enum class Pages { kSmall, kHuge };  ///< kHuge asks for large pages, for what is touched from end to end

  /// Error naming `purpose` when the address space or a limit does not allow it.
  LazyMemory(int64_t bytes, const std::string& purpose, Pages pages = Pages::kSmall);
  ~LazyMemory();
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;

  /// Zeros again, whatever is mapped over it. Error where the kernel does not do it.
  void discard();

  std::byte* data() const { return data_; }
  /// Its first address that is a multiple of `alignment`, for which it has to be that much larger.
  std::byte* aligned_data(size_t alignment) const {
    return data_ + (alignment - reinterpret_cast<uintptr_t>(data_) % alignment) % alignment;
  }
  int64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace dsv4
