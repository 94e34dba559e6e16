// The SIGBUS handler. It asks the kernel which file is mapped where the fault was: system calls and the stack only, because a handler may not allocate or lock.
#include "checkpoint/map_guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "checkpoint/quote.h"

namespace dsv4 {
namespace {

constexpr size_t kLongestPath = 1400;  // as much of it as leaves the line below 2,000 bytes

std::atomic_flag reporting;  // several threads may fault at once, and one line is enough

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

/// The lines of a file, one after another, those longer than the buffer cut.
class Lines {
 public:
  explicit Lines(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~Lines() {
    if (fd_ >= 0) ::close(fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  bool next(std::string_view& line) {
    size_t length = 0;
    bool any = false;
    for (char c; get(c); any = true) {
      if (c == '\n') {
        any = true;
        break;
      }
      if (length < line_.size()) line_[length++] = c;
    }
    line = {line_.data(), length};
    return any;
  }

 private:
  bool get(char& c) {
    if (at_ == filled_) {
      ssize_t n = -1;
      do n = fd_ < 0 ? 0 : ::read(fd_, chunk_.data(), chunk_.size());
      while (n < 0 && errno == EINTR);
      if (n <= 0) return false;
      at_ = 0;
      filled_ = static_cast<size_t>(n);
    }
    c = chunk_[at_++];
    return true;
  }

  int fd_;
  std::array<char, 1024> chunk_;
  size_t at_ = 0, filled_ = 0;
  std::array<char, 4608> line_;  // a path of 4,096 bytes and what stands before it
};

uintptr_t take_hex(std::string_view& text) {
  uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    value = value << 4 | static_cast<uintptr_t>(digit);
    text.remove_prefix(1);
  }
  return value;
}

/// Of a line "begin-end rwxp offset device inode   /path": the path if `address` lies in it. (The kernel writes a line feed in it as \012.)
std::string_view path_at(std::string_view line, uintptr_t address) {
  const uintptr_t begin = take_hex(line);
  if (line.empty() || line.front() != '-') return {};
  line.remove_prefix(1);
  const uintptr_t end = take_hex(line);
  const size_t path = line.find('/');
  return address >= begin && address < end && path != std::string_view::npos ? line.substr(path) : std::string_view();
}

void report(int number, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Lines maps("/proc/self/maps");
  for (std::string_view line; maps.next(line);) {
    const std::string_view path = path_at(line, address);
    if (path.empty()) continue;
    while (reporting.test_and_set()) ::pause();  // until the other thread has ended the process
    std::array<char, kLongestPath> text;
    write_all("dsv4: error: ");
    write_all({text.data(), escape_into(path, text)});
    write_all(": cannot be read any more: it was truncated while in use, or its disk fails; restore it and start again\n");
    ::_exit(1);
  }
  ::signal(number, SIG_DFL);  // not a mapped file: the fault happens again, and ends the process as it would have
}

}  // namespace

void report_unreadable_maps() {
  struct sigaction action {};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace dsv4
