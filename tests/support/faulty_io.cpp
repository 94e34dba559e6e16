// open, pread, pwrite and statx of the C library with faults (faulty_io.h). As a preloaded library: DSV4_FAULTY_FILE=SUFFIX and
// DSV4_FAULTS=short,refuse-open,refuse-reads,hide-alignment,eio=N,after=N,short-writes,refuse-writes,full-after=N,delay=MICROSECONDS.
#include "support/faulty_io.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>

namespace dsv4::testing_support {
namespace {

struct State {
  std::atomic<bool> active{false};
  std::string suffix;
  Faults faults;
  std::atomic<int> failed{0}, reads{0}, direct_reads{0}, writes{0}, direct_writes{0};
  std::atomic<unsigned> chance{1};

  State() {  // of a preloaded library
    const char *file = std::getenv("DSV4_FAULTY_FILE"), *list = std::getenv("DSV4_FAULTS");
    if (file == nullptr || list == nullptr) return;
    suffix = file;
    std::istringstream in(list);
    for (std::string word; std::getline(in, word, ',');) {
      const size_t equals = word.find('=');
      const int value = equals == std::string::npos ? 0 : std::atoi(word.c_str() + equals + 1);
      const std::string_view name = std::string_view(word).substr(0, equals);
      if (name == "short") faults.short_reads = true;
      if (name == "refuse-open") faults.refuse_direct_open = true;
      if (name == "refuse-reads") faults.refuse_direct_reads = true;
      if (name == "hide-alignment") faults.hide_alignment = true;
      if (name == "eio") faults.eio = value;
      if (name == "after") faults.after = value;
      if (name == "short-writes") faults.short_writes = true;
      if (name == "refuse-writes") faults.refuse_direct_writes = true;
      if (name == "full-after") faults.writes_until_full = value;
      if (name == "delay") faults.delay = value;
    }
    active = true;
  }

  /// 0 to below `limit`.
  unsigned random(unsigned limit) { return chance.fetch_add(0x9E3779B9u) / 7u * 2654435761u % limit; }
  bool chosen(const char* path) const { return active && std::string_view(path).ends_with(suffix); }
  bool chosen(int fd) const {
    if (!active) return false;
    char path[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t bytes = ::readlink(link.c_str(), path, sizeof path);
    return bytes > 0 && std::string_view(path, static_cast<size_t>(bytes)).ends_with(suffix);
  }
};

State& state() {
  static State* only = new State;  // lives as long as the last read
  return *only;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

using Open = int (*)(const char*, int, ...);
using Pread = ssize_t (*)(int, void*, size_t, off_t);
using Pwrite = ssize_t (*)(int, const void*, size_t, off_t);
using Statx = int (*)(int, const char*, int, unsigned, struct statx*);

int open_or_refuse(const char* path, int flags, mode_t mode) {
  static const auto real = next<Open>("open");
  if ((flags & O_DIRECT) != 0 && state().faults.refuse_direct_open && state().chosen(path)) return errno = EINVAL, -1;
  return real(path, flags, mode);
}

ssize_t faulty_pread(int fd, void* to, size_t bytes, off_t at) {
  static const auto real = next<Pread>("pread");
  State& s = state();
  if (!s.chosen(fd)) return real(fd, to, bytes, at);
  const int number = s.reads++;
  const bool direct = (::fcntl(fd, F_GETFL) & O_DIRECT) != 0;
  if (direct) ++s.direct_reads;
  if (s.faults.delay > 0) ::usleep(s.random(static_cast<unsigned>(s.faults.delay)));
  if (direct && s.faults.refuse_direct_reads) return errno = EINVAL, -1;
  if (number >= s.faults.after && s.faults.eio != 0 && (s.faults.eio < 0 || s.failed++ < s.faults.eio)) return errno = EIO, -1;
  const ssize_t got = real(fd, to, bytes, at);
  if (!s.faults.short_reads || got <= 1) return got;
  const auto kept = 1 + static_cast<ssize_t>(s.random(static_cast<unsigned>(got)));
  std::memset(static_cast<char*>(to) + kept, 0xA5, static_cast<size_t>(got - kept));  // what was not read is not there by luck
  return kept;
}

ssize_t faulty_pwrite(int fd, const void* from, size_t bytes, off_t at) {
  static const auto real = next<Pwrite>("pwrite");
  State& s = state();
  if (!s.chosen(fd)) return real(fd, from, bytes, at);
  const int number = s.writes++;
  const bool direct = (::fcntl(fd, F_GETFL) & O_DIRECT) != 0;
  if (direct) ++s.direct_writes;
  if (s.faults.delay > 0) ::usleep(s.random(static_cast<unsigned>(s.faults.delay)));
  if (direct && s.faults.refuse_direct_writes) return errno = EINVAL, -1;
  if (s.faults.writes_until_full >= 0 && number >= s.faults.writes_until_full) return errno = ENOSPC, -1;
  if (!s.faults.short_writes || bytes <= 1) return real(fd, from, bytes, at);
  if (!direct) return real(fd, from, 1 + s.random(static_cast<unsigned>(bytes)), at);
  return real(fd, from, std::min<size_t>(bytes, 4096 * (1 + s.random(static_cast<unsigned>(bytes / 4096 + 1)))), at);
}

}  // namespace

FaultyIo::FaultyIo(const std::string& suffix, const Faults& faults) {
  State& s = state();
  s.suffix = suffix;
  s.faults = faults;
  s.failed = s.reads = s.direct_reads = s.writes = s.direct_writes = 0;
  s.active = true;
}

FaultyIo::~FaultyIo() {
  state().active = false;
  state().faults = {};
}

int FaultyIo::reads() const { return state().reads; }

int FaultyIo::direct_reads() const { return state().direct_reads; }

int FaultyIo::writes() const { return state().writes; }

int FaultyIo::direct_writes() const { return state().direct_writes; }

}  // namespace dsv4::testing_support

// NOLINTBEGIN: the C library's names
extern "C" {

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return dsv4::testing_support::open_or_refuse(path, flags, mode);
}

ssize_t pread(int fd, void* to, size_t bytes, off_t at) { return dsv4::testing_support::faulty_pread(fd, to, bytes, at); }

ssize_t pread64(int fd, void* to, size_t bytes, off_t at) { return dsv4::testing_support::faulty_pread(fd, to, bytes, at); }

ssize_t pwrite(int fd, const void* from, size_t bytes, off_t at) { return dsv4::testing_support::faulty_pwrite(fd, from, bytes, at); }

ssize_t pwrite64(int fd, const void* from, size_t bytes, off_t at) { return dsv4::testing_support::faulty_pwrite(fd, from, bytes, at); }

int statx(int directory, const char* path, int flags, unsigned mask, struct statx* status) noexcept {
  static const auto real = dsv4::testing_support::next<dsv4::testing_support::Statx>("statx");
  const int result = real(directory, path, flags, mask, status);
#ifdef STATX_DIOALIGN
  if (result == 0 && dsv4::testing_support::state().faults.hide_alignment && dsv4::testing_support::state().chosen(directory)) {
    status->stx_mask &= ~static_cast<unsigned>(STATX_DIOALIGN);
    status->stx_dio_mem_align = status->stx_dio_offset_align = 0;
  }
#endif
  return result;
}

}  // extern "C"
// NOLINTEND
