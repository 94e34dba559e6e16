// The SIGBUS handler and the table that it looks into: plain memory and atomics, because a handler may not allocate or lock.
#include "checkpoint/map_guard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace dsv4 {
namespace {

struct Slot {
  std::atomic<bool> taken = false;
  std::atomic<uintptr_t> begin = 0;  // 0: not a map
  uintptr_t end = 0;
  std::array<char, 1024> path = {};
};

constinit std::array<Slot, 1024> slots;

void write_all(const char* text) {
  size_t left = std::strlen(text);
  while (left > 0) {
    const ssize_t n = ::write(STDERR_FILENO, text, left);
    if (n <= 0) return;
    text += n;
    left -= static_cast<size_t>(n);
  }
}

void report(int number, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= slot.end) continue;
    write_all("dsv4: error: ");
    write_all(slot.path.data());
    write_all(": cannot be read any more: it was truncated while in use, or its disk fails; restore it and start again\n");
    ::_exit(1);
  }
  ::signal(number, SIG_DFL);  // not one of ours: the fault happens again, and ends the process as it would have
}

}  // namespace

MapGuard::MapGuard(const void* begin, size_t bytes, const std::string& path) {
  if (begin == nullptr || bytes == 0) return;
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    if (slot.taken.exchange(true)) continue;
    slot.end = reinterpret_cast<uintptr_t>(begin) + bytes;
    const size_t length = std::min(path.size(), slot.path.size() - 1);
    std::copy_n(path.data(), length, slot.path.data());
    slot.path[length] = '\0';
    slot.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    slot_ = static_cast<int>(i);
    return;
  }
}

MapGuard::~MapGuard() {
  if (slot_ < 0) return;
  slots[static_cast<size_t>(slot_)].begin.store(0);
  slots[static_cast<size_t>(slot_)].taken.store(false);
}

void report_unreadable_maps() {
  struct sigaction action {};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace dsv4
