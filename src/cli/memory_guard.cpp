// The SIGSEGV handler: system calls only, because a handler may not allocate or lock.
#include "cli/memory_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>

namespace dsv4 {

namespace {

// These report invalid accesses themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif

// What the C library asks of the kernel at once when its heap is used up: malloc() has given nothing because this failed.
constexpr size_t kHeapStep = size_t{1} << 20;

alignas(16) std::array<std::byte, 1 << 16> handler_stack;  // the faulting one may be full

bool is_exhausted() {
  void* const memory = ::mmap(nullptr, kHeapStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return true;
  ::munmap(memory, kHeapStep);
  return false;
}

void report(int number) {
  if (is_exhausted()) {
    constexpr char kLine[] = "dsv4: error: not enough memory: the address space is exhausted; raise its limit (ulimit -v)\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kLine, sizeof kLine - 1);
    ::_exit(1);
  }
  ::signal(number, SIG_DFL);  // the access happens again
}

}  // namespace

void report_exhausted_memory() {
  if (kSanitizer) return;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  struct sigaction action {};
  action.sa_handler = report;
  action.sa_flags = SA_ONSTACK;
  if (::sigaltstack(&stack, nullptr) == 0) ::sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace dsv4
