// What the kernel says is free.
#include "runtime/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace dsv4 {

namespace {

// "123\n" of a control group's file; the largest number for "max" and for files that are not there.
uint64_t read_limit(const char* path) {
  std::ifstream in(path);
  uint64_t value = 0;
  return in >> value ? value : std::numeric_limits<uint64_t>::max();
}

}  // namespace

uint64_t available_memory() {
  uint64_t available = std::numeric_limits<uint64_t>::max();
  std::ifstream in("/proc/meminfo");
  std::string key;
  for (uint64_t kilobytes = 0; in >> key >> kilobytes; in.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    if (key == "MemAvailable:") available = kilobytes * 1024;
  }
  const uint64_t limit = read_limit("/sys/fs/cgroup/memory.max"), used = read_limit("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<uint64_t>::max() && used <= limit) available = std::min(available, limit - used);
  return available;
}

}  // namespace dsv4
