// O_DIRECT with its refusals, short reads and failing drives.
#include "files/direct_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr size_t kUsualAlignment = 4096;       // of the pages and, with a few exceptions below it, of the blocks of drives
constexpr size_t kLargestAlignment = 1 << 20;  // of a file system that asks for more nothing could be read in place

// Not blocking: a FIFO in place of the file must be refused, not waited for.
int open_to_read(const std::filesystem::path& path, int flags) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags); }

/// With O_DIRECT where that is not refused.
int open_direct_or_not(const std::filesystem::path& path) {
  const int fd = open_to_read(path, O_DIRECT);
  return fd < 0 && errno == EINVAL ? open_to_read(path, 0) : fd;
}

/// What offsets and memory have to be multiples of; 0 where the file system says that it reads nothing directly.
size_t direct_alignment(int fd) {
#ifdef STATX_DIOALIGN
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 && (status.stx_mask & STATX_DIOALIGN) != 0) {
    const size_t needed = std::max(status.stx_dio_mem_align, status.stx_dio_offset_align);
    const bool usable = status.stx_dio_mem_align != 0 && status.stx_dio_offset_align != 0 && std::has_single_bit(needed);
    return usable && needed <= kLargestAlignment ? needed : 0;
  }
#endif
  return kUsualAlignment;  // before Linux 6.1, or a file system that does not say
}

int64_t nanoseconds(const struct timespec& time) { return int64_t{time.tv_sec} * 1000000000 + time.tv_nsec; }

}  // namespace

DirectFile::DirectFile(const std::filesystem::path& path, std::string shown)
    : shown_(shown.empty() ? path.string() : std::move(shown)), file_(open_direct_or_not(path)) {
  if (file_.fd < 0) fail(shown_, ": cannot open: ", std::strerror(errno));
  struct stat status {};
  if (::fstat(file_.fd, &status) != 0) fail(shown_, ": cannot read its size: ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(shown_, ": is not a regular file");
  size_ = static_cast<uint64_t>(status.st_size);
  modified_ = nanoseconds(status.st_mtim);
  alignment_ = direct_alignment(file_.fd);
  direct_ = (::fcntl(file_.fd, F_GETFL) & O_DIRECT) != 0;
  if (alignment_ == 0 || !direct_) read_buffered_from_now_on();
  if (alignment_ == 0) alignment_ = kUsualAlignment;
}

void DirectFile::read_buffered_from_now_on() const {
  // The same descriptor: one that is opened now might be of another file of this name.
  ::fcntl(file_.fd, F_SETFL, ::fcntl(file_.fd, F_GETFL) & ~O_DIRECT);
  ::posix_fadvise(file_.fd, 0, 0, POSIX_FADV_RANDOM);  // else read-ahead doubles what is read
  direct_ = false;
}

void DirectFile::read(uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) const {
  uint64_t at = begin;
  bool failed_before = false;
  while (at < needed) {
    const bool direct_now = direct();
    const ssize_t got = ::pread(file_.fd, to + (at - begin), end - at, static_cast<off_t>(at));
    if (got == 0) fail_read(at, 0);
    if (got < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      if ((error == EINVAL || error == EOPNOTSUPP) && direct_now) {
        read_buffered_from_now_on();
      } else if (error == EIO && !failed_before) {
        failed_before = true;  // some drives and networks recover
      } else {
        fail_read(at, error);
      }
      continue;
    }
    const uint64_t reached = at + static_cast<uint64_t>(got), whole = reached / alignment_ * alignment_;
    if (reached >= needed || !direct_now) {
      at = reached;
    } else if (whole > at) {
      at = whole;  // a direct read goes on at a multiple only
    } else {
      read_buffered_from_now_on();  // it never comes to one
    }
  }
  if (!direct()) ::posix_fadvise(file_.fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_DONTNEED);
}

void DirectFile::check_unchanged() const {
  struct stat status {};
  if (::fstat(file_.fd, &status) != 0) fail(shown_, ": cannot read its size: ", std::strerror(errno));
  const auto now = static_cast<uint64_t>(status.st_size);
  if (now < size_) fail(shown_, ": became shorter while in use: ", now, " bytes of ", size_, "; restore it and start again");
  if (now != size_ || nanoseconds(status.st_mtim) != modified_) {
    fail(shown_, ": was changed while in use; start again when nothing writes to it");
  }
}

void DirectFile::fail_read(uint64_t at, int error) const {
  check_unchanged();  // that explains it
  if (error == 0) fail(shown_, ": ends at byte ", at, " of ", size_, "; is its disk damaged? Copy the file anew");
  fail(shown_, ": cannot read at byte ", at, ": ", std::strerror(error), "; is its disk damaged? Copy the file anew");
}

}  // namespace dsv4
