// Opening, checking and reading of small files.
#include "checkpoint/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "files/descriptor.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;

void check_regular(const struct stat& status, const std::string& where, const SmallFileKind& kind) {
  if (S_ISDIR(status.st_mode)) fail(where, ": is a directory, expected ", kind.expected);
  if (!S_ISREG(status.st_mode)) fail(where, ": is not a regular file, expected ", kind.expected);
}

[[noreturn]] void fail_open(const fs::path& file, int error, const SmallFileKind& kind) {
  std::error_code ignored;
  const bool link = fs::is_symlink(fs::symlink_status(file, ignored));
  if (error == ENOENT) fail(path_text(file), link ? ": a link to a file that is missing" : ": no such file", ", expected ", kind.expected);
  fail(path_text(file), ": cannot be opened: ", std::strerror(error), ", expected ", kind.expected);
}

/// "blobs" of the Hugging Face cache in which a snapshot lies: CACHE/models--ORGANISATION--NAME/snapshots/REVISION.
fs::path blobs_of_snapshot(const fs::path& directory) {
  for (fs::path at = directory; at.has_relative_path(); at = at.parent_path()) {
    if (at.parent_path().filename() == "snapshots") return at.parent_path().parent_path() / "blobs";
  }
  return {};
}

/// A blob of any repository in a cache, named by its hash: downloads into a directory of the user's once linked to these.
bool is_named_blob(const fs::path& target) {
  const std::string name = target.filename().string();
  const bool hash = (name.size() == 40 || name.size() == 64) && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  const fs::path blobs = target.parent_path();
  return hash && blobs.filename() == "blobs" && blobs.parent_path().filename().string().starts_with("models--");
}

/// Of what was opened, not of what the name leads to by now.
fs::path real_path(const Descriptor& open, const fs::path& file) {
  std::error_code error;
  fs::path target = fs::read_symlink(concat("/proc/self/fd/", open.fd), error);
  if (error) target = fs::canonical(file, error);
  return error ? fs::path() : target;
}

void check_stays_inside(const Descriptor& open, const struct stat& opened, const fs::path& file, const SmallFileKind& kind) {
  struct stat entry {};
  if (::lstat(file.c_str(), &entry) == 0 && entry.st_dev == opened.st_dev && entry.st_ino == opened.st_ino) return;  // no link
  std::error_code error;
  const fs::path directory = fs::canonical(file.has_parent_path() ? file.parent_path() : fs::path("."), error);
  const fs::path target = real_path(open, file);
  if (!error && !target.empty()) {
    if (std::mismatch(directory.begin(), directory.end(), target.begin(), target.end()).first == directory.end()) return;
    if (target.parent_path() == blobs_of_snapshot(directory) || is_named_blob(target)) return;
  }
  fail(path_text(file), ": is a link out of its directory, to ", path_text(target), ", expected ", kind.expected,
       "; if that file belongs here, put a copy in place of the link");
}

/// To its end, not to the size that it states: files of /proc state 0.
std::string read_all(const Descriptor& open, size_t stated, const std::string& where, const SmallFileKind& kind) {
  std::string text(std::min(kind.max_bytes, std::max<size_t>(stated, 4095)) + 1, '\0');
  for (size_t have = 0;;) {
    const ssize_t got = ::read(open.fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(where, ": cannot be read: ", std::strerror(errno), ", expected ", kind.expected);
    have += static_cast<size_t>(got);
    if (have > kind.max_bytes)
      fail(where, ": more than ", kind.max_bytes, " bytes, expected a ", kind.noun, " of at most ", kind.max_bytes);
    if (got == 0) {
      text.resize(have);
      return text;
    }
    if (have == text.size()) text.resize(std::min(kind.max_bytes + 1, 2 * have));
  }
}

std::string read(const fs::path& file, const SmallFileKind& kind, bool inside) {
  const std::string where = path_text(file);
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) fail_open(file, errno, kind);
  check_regular(status, where, kind);  // before it is opened, which is an action of some devices
  const Descriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (open.fd < 0) fail_open(file, errno, kind);
  if (::fstat(open.fd, &status) != 0) fail_open(file, errno, kind);
  check_regular(status, where, kind);
  if (inside) check_stays_inside(open, status, file, kind);
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (bytes > kind.max_bytes) fail(where, ": ", bytes, " bytes, expected a ", kind.noun, " of at most ", kind.max_bytes);
  return read_all(open, bytes, where, kind);
}

}  // namespace

std::string read_small_file(const fs::path& file, const SmallFileKind& kind) { return read(file, kind, true); }

std::optional<std::string> read_small_file_if_there(const fs::path& file, const SmallFileKind& kind) {
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) return std::nullopt;
  return read(file, kind, true);
}

std::string read_named_file(const fs::path& file, const SmallFileKind& kind) { return read(file, kind, false); }

}  // namespace dsv4
