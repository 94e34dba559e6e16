// mmap of anonymous pages.
#include "files/lazy_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dsv4/error.h"

namespace dsv4 {

LazyMemory::LazyMemory(int64_t bytes, const std::string& purpose, Pages pages) : size_(std::max<int64_t>(bytes, 1)) {
  void* memory = mmap(nullptr, static_cast<size_t>(size_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail("no ", size_, " bytes of memory for ", purpose, ": ", std::strerror(errno));
  if (pages == Pages::kHuge) madvise(memory, static_cast<size_t>(size_), MADV_HUGEPAGE);  // a wish: small pages do as well
  data_ = static_cast<std::byte*>(memory);
}

void LazyMemory::discard() {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (mmap(data_, static_cast<size_t>(size_), PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
    fail("memory cannot be given back: ", std::strerror(errno));
}

LazyMemory::~LazyMemory() { munmap(data_, static_cast<size_t>(size_)); }

}  // namespace dsv4
