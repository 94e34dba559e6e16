// Writing a snapshot beside its name and renaming it; reading one.
#include "runtime/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "files/descriptor.h"
#include "runtime/errors.h"
#include "runtime/snapshot_form.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostAtOnce = size_t{1} << 30;  // bytes of a read or write, which the kernel limits to 2 GiB

/// What the name stands for: through links, which would be replaced, and only where there is nothing else than a file, of which the same is true.
fs::path target_of(const fs::path& file) {
  std::error_code error, not_there;
  const fs::path target = fs::is_symlink(file, not_there) ? fs::weakly_canonical(file, error) : file;
  if (error || (fs::exists(target, not_there) && !fs::is_regular_file(target, not_there))) {
    fail("cannot write ", path_text(file), ": ", error ? error.message() : "it is no regular file");
  }
  return target;
}

/// A file that is gone with this object unless it was renamed.
class NewFile {
 public:
  explicit NewFile(const fs::path& file) : file_(target_of(file)), partial_(partial_name(file_)), open_(open(partial_)) {
    if (open_.fd < 0) refuse();
  }
  ~NewFile() {
    if (!renamed_) ::unlink(partial_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(open_.fd, bytes.data(), std::min(bytes.size(), kMostAtOnce));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) refuse();
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
  }

  void finish() {
    if (::fsync(open_.fd) != 0 || ::rename(partial_.c_str(), file_.c_str()) != 0) refuse();
    renamed_ = true;
    const fs::path directory = file_.has_parent_path() ? file_.parent_path() : fs::path(".");
    const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.fd >= 0) ::fsync(opened.fd);  // some file systems cannot flush a directory and need not
  }

 private:
  static fs::path partial_name(const fs::path& file) {
    static std::atomic<int> count = 0;  // threads may write the same file
    return file.string() + concat(".", ::getpid(), "-", ++count, ".partial");
  }
  static int open(const fs::path& path) { return ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666); }
  [[noreturn]] void refuse() const { fail("cannot write ", path_text(file_), ": ", std::strerror(errno)); }

  fs::path file_, partial_;
  Descriptor open_;
  bool renamed_ = false;
};

}  // namespace

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
