// Invalid accesses with and without memory left.
#include "cli/memory_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

namespace dsv4 {
namespace {

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/// A page that nobody may touch.
volatile char* forbidden_page() {
  return static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void take_all_address_space() {
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = 4096;
  setrlimit(RLIMIT_AS, &limit);
}

// Recursion that the compiler cannot turn into a loop, with a page a call.
int deep(int depth) {
  volatile char page[4096];
  page[0] = static_cast<char>(depth);
  return depth == 0 ? page[0] : deep(depth - 1) + page[0];
}

TEST(MemoryGuardDeathTest, AnInvalidAccessWithoutMemoryIsWantOfMemory) {
  EXPECT_EXIT(
      {
        volatile char* page = forbidden_page();
        report_exhausted_memory();
        take_all_address_space();
        page[8] = 1;
        ::_exit(2);
      },
      testing::ExitedWithCode(1), "^dsv4: error: not enough memory: .*ulimit -v");
}

TEST(MemoryGuardDeathTest, SoIsAStackThatCannotGrow) {
  EXPECT_EXIT(
      {
        report_exhausted_memory();
        take_all_address_space();
        ::_exit(deep(1000) == 0 ? 2 : 3);
      },
      testing::ExitedWithCode(1), "^dsv4: error: not enough memory: ");
}

TEST(MemoryGuardDeathTest, OtherInvalidAccessesStayWhatTheyAre) {
  EXPECT_EXIT(
      {
        report_exhausted_memory();
        forbidden_page()[8] = 1;
        ::_exit(2);
      },
      testing::KilledBySignal(SIGSEGV), "");
}
#endif

}  // namespace
}  // namespace dsv4
