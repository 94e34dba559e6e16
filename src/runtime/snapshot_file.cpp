// Writing and reading of snapshots.
#include "runtime/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "files/descriptor.h"
#include "runtime/errors.h"
#include "runtime/new_file.h"
#include "runtime/snapshot_form.h"

namespace dsv4 {

namespace fs = std::filesystem;

void check_snapshot_path(const fs::path& file) { NewFile{file}; }

void write_snapshot(const Snapshot& snapshot, const fs::path& file) {
  NewFile out(file);
  put_snapshot(snapshot, [&](std::span<const std::byte> bytes) { out.write(bytes); });
  out.finish();
}

Snapshot read_snapshot(const fs::path& file) {
  return in_file(file, [&] {
    return with_errors("the snapshot cannot be read", [&] {
      const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
      struct stat status {};
      if (opened.fd < 0 || ::fstat(opened.fd, &status) != 0) fail("cannot be read: ", std::strerror(errno));
      if (!S_ISREG(status.st_mode)) fail("is no file; expected a snapshot that `dsv4 run --save` wrote");
      return get_snapshot(status.st_size, [&](std::span<std::byte> bytes) {
        while (!bytes.empty()) {
          const ssize_t n = ::read(opened.fd, bytes.data(), std::min(bytes.size(), kMostAtOnce));
          if (n < 0 && errno == EINTR) continue;
          if (n < 0) fail("cannot be read: ", std::strerror(errno));
          if (n == 0) fail("has become shorter while it was read");
          bytes = bytes.subspan(static_cast<size_t>(n));
        }
      });
    });
  });
}

}  // namespace dsv4
