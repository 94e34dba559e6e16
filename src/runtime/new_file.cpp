// write, fsync, rename.
#include "runtime/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

namespace fs = std::filesystem;

/// What the name stands for: only where there is nothing else than a file.
fs::path target_of(const fs::path& file) {
  std::error_code error, not_there;
  const fs::path target = fs::is_symlink(file, not_there) ? fs::weakly_canonical(file, error) : file;
  if (error || (fs::exists(target, not_there) && !fs::is_regular_file(target, not_there))) {
    fail("cannot write ", path_text(file), ": ", error ? error.message() : "it is no regular file");
  }
  return target;
}

fs::path partial_name(const fs::path& file) {
  static std::atomic<int> count = 0;  // threads may write the same file
  return file.string() + concat(".", ::getpid(), "-", ++count, ".partial");
}

}  // namespace

NewFile::NewFile(const fs::path& file)
    : file_(target_of(file)),
      partial_(partial_name(file_)),
      open_(::open(partial_.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666)) {
  if (open_.fd < 0) refuse();
}

NewFile::~NewFile() {
  if (!renamed_) ::unlink(partial_.c_str());
}

void NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(open_.fd, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) refuse();
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void NewFile::finish() {
  if (::fsync(open_.fd) != 0 || ::rename(partial_.c_str(), file_.c_str()) != 0) refuse();
  renamed_ = true;
  const fs::path directory = file_.has_parent_path() ? file_.parent_path() : fs::path(".");
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.fd >= 0) ::fsync(opened.fd);  // some file systems cannot flush a directory and need not
}

void NewFile::refuse() const { fail("cannot write ", path_text(file_), ": ", std::strerror(errno)); }

}  // namespace dsv4
