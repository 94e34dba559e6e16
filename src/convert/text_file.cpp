// Writing whole files.
#include "convert/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checkpoint/quote.h"
#include "convert/errors.h"

namespace dsv4 {

namespace fs = std::filesystem;

void write_text(const fs::path& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail_write("cannot create ", path_text(path), ": ", write_error_text(errno));
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      ::close(fd);
      fail_write("cannot write ", path_text(path), ": ", write_error_text(error));
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::close(fd) != 0) fail_write("cannot write ", path_text(path), ": ", write_error_text(errno));
}

void sync_to_disk(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_write("cannot open ", path_text(path), " to flush it: ", std::strerror(errno));
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some file systems cannot flush a directory and need not.
  if (error != 0 && error != EINVAL && error != EROFS) fail_write("cannot finish ", path_text(path), ": ", write_error_text(error));
}

void flush_if_possible(const fs::path& path) {
  try {
    sync_to_disk(path);
  } catch (const WriteError&) {
  }
}

}  // namespace dsv4
