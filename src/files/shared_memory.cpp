// memfd and mmap.
#include "files/shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dsv4/error.h"

namespace dsv4 {

SharedMemory::SharedMemory(size_t bytes) : file_(::memfd_create("dsv4", MFD_CLOEXEC)), bytes_(bytes) {
  if (file_.fd < 0 || ::ftruncate(file_.fd, static_cast<off_t>(bytes)) != 0)
    fail("no shared memory of ", bytes, " bytes: ", std::strerror(errno));
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd, 0);
  if (memory == MAP_FAILED) fail("no shared memory of ", bytes, " bytes: ", std::strerror(errno));
  data_ = static_cast<std::byte*>(memory);
}

SharedMemory::~SharedMemory() { ::munmap(data_, bytes_); }

void SharedMemory::show_at(void* address, size_t bytes, uint64_t from) const {
  // With its pages at once: touched one by one they would cost a fault each.
  if (::mmap(address, bytes, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file_.fd, static_cast<off_t>(from)) == MAP_FAILED) {
    fail("cannot map ", bytes, " bytes: ", std::strerror(errno));
  }
}

}  // namespace dsv4
