// The handler of crashes: system calls only, because a handler may not allocate or lock.
#include "cli/crash_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <string_view>

#include "checkpoint/blamed_file.h"

namespace dsv4 {

namespace {

// These report crashes themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizer = true;
#else
constexpr bool kSanitizer = false;
#endif

// What the C library asks of the kernel at once when its heap is used up: malloc() has given nothing because this failed.
constexpr size_t kHeapStep = size_t{1} << 20;

alignas(16) std::array<std::byte, 1 << 16> handler_stack;  // the faulting one may be full

std::atomic_flag reporting;  // several threads may crash at once, and one line is enough

bool is_exhausted() {
  void* const memory = ::mmap(nullptr, kHeapStep, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return true;
  ::munmap(memory, kHeapStep);
  return false;
}

void write_text(std::string_view text) { [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size()); }

[[noreturn]] void end_with(std::string_view file, std::string_view text) {
  while (reporting.test_and_set()) ::pause();  // until the other thread has ended the process
  write_text("dsv4: error: ");
  write_text(file);
  write_text(text);
  ::_exit(1);
}

void report(int number) {
  if (number == SIGSEGV && is_exhausted()) end_with("", "not enough memory: the address space is exhausted; raise its limit (ulimit -v)\n");
  if (const char* const file = BlamedFile::name()) {
    end_with(file, ": OpenVINO crashed on what it says; it is damaged, or `dsv4 convert` did not write it: convert the checkpoint again\n");
  }
  ::signal(number, SIG_DFL);  // an access happens again
  if (number == SIGABRT) ::raise(number);
}

}  // namespace

void report_crashes() {
  if (kSanitizer) return;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  struct sigaction action {};
  action.sa_handler = report;
  action.sa_flags = SA_ONSTACK;
  if (::sigaltstack(&stack, nullptr) != 0) return;
  for (const int number : {SIGSEGV, SIGFPE, SIGILL, SIGABRT}) ::sigaction(number, &action, nullptr);
}

}  // namespace dsv4
