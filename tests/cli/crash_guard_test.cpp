// Crashes with and without memory left, and with and without a file to blame.
#include "cli/crash_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "checkpoint/blamed_file.h"

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

TEST(CrashGuardDeathTest, AnInvalidAccessWithoutMemoryIsWantOfMemory) {
  EXPECT_EXIT(
      {
        volatile char* page = forbidden_page();
        report_crashes();
        take_all_address_space();
        page[8] = 1;
        ::_exit(2);
      },
      testing::ExitedWithCode(1), "^dsv4: error: not enough memory: .*ulimit -v");
}

TEST(CrashGuardDeathTest, SoIsAStackThatCannotGrow) {
  EXPECT_EXIT(
      {
        report_crashes();
        take_all_address_space();
        ::_exit(deep(1000) == 0 ? 2 : 3);
      },
      testing::ExitedWithCode(1), "^dsv4: error: not enough memory: ");
}

TEST(CrashGuardDeathTest, OtherInvalidAccessesStayWhatTheyAre) {
  EXPECT_EXIT(
      {
        report_crashes();
        forbidden_page()[8] = 1;
        ::_exit(2);
      },
      testing::KilledBySignal(SIGSEGV), "");
}

TEST(CrashGuardDeathTest, ACrashOnWhatAFileSaysNamesTheFile) {
  const auto crash = [](int number) {
    report_crashes();
    const BlamedFile file("/models/one\n/openvino_model.xml");
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([number] { std::raise(number); });
    for (std::thread& thread : threads) thread.join();
    ::_exit(2);
  };
  for (const int number : {SIGSEGV, SIGFPE, SIGILL, SIGABRT}) {
    EXPECT_EXIT(crash(number), testing::ExitedWithCode(1),
                "^dsv4: error: /models/one\\\\x0a/openvino_model.xml: OpenVINO crashed [^\n]*\n$");
  }
}

TEST(CrashGuardDeathTest, WhatIsDoneIsNotBlamed) {
  const auto crash = [](int number) {
    report_crashes();
    { const BlamedFile file("/models/one"); }
    std::raise(number);
    std::raise(number);  // the first one only ends the handling
    ::_exit(2);
  };
  for (const int number : {SIGSEGV, SIGFPE, SIGILL, SIGABRT}) EXPECT_EXIT(crash(number), testing::KilledBySignal(number), "");
}

TEST(BlamedFile, IsTheOneThatWasMadeLast) {
  EXPECT_EQ(BlamedFile::name(), nullptr);
  const BlamedFile outer("outer");
  {
    const BlamedFile inner("inner");
    EXPECT_STREQ(BlamedFile::name(), "inner");
  }
  EXPECT_STREQ(BlamedFile::name(), "outer");
}
#endif

}  // namespace
}  // namespace dsv4
