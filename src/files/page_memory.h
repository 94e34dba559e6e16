// Anonymous memory in whole pages, for reads and writes past the page cache.
#pragma once

#include <cstddef>
#include <utility>

namespace dsv4 {

/// Zeroed, aligned to pages, in huge pages where the system gives them. std::bad_alloc when there is none.
class PageMemory {
 public:
  explicit PageMemory(size_t bytes);
  ~PageMemory();
  PageMemory(PageMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  PageMemory& operator=(PageMemory&&) = delete;
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_;
};

}  // namespace dsv4
