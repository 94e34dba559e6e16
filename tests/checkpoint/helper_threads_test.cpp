// Threads that help: all work is done whatever number of them the system gives, and errors come back.
#include "checkpoint/helper_threads.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

namespace dsv4 {
namespace {

TEST(Helpers, WorkAtOnce) {
  std::atomic<int> there = 0;
  run_with_helpers(3, [&] {
    ++there;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (there < 4 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
  EXPECT_EQ(there, 4);
}

TEST(Helpers, MayBeNone) {
  int calls = 0;
  run_with_helpers(0, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(Helpers, GiveTheirErrorBackWhenAllHaveEnded) {
  std::atomic<int> ended = 0;
  EXPECT_THROW(run_with_helpers(5,
                                [&] {
                                  if (ended++ % 2 == 0) throw std::runtime_error("of one");
                                }),
               std::runtime_error);
  EXPECT_EQ(ended, 6);
}

/// While it lives no thread can be made: the stack of a new one is larger than the address space.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_getattr_default_np(&before_);
    pthread_attr_setstacksize(&attributes, size_t{1} << 47);
    EXPECT_EQ(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
  }
  ~NoMoreThreads() { pthread_setattr_default_np(&before_); }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;

 private:
  pthread_attr_t before_;
};

TEST(Helpers, ThatTheSystemDoesNotGiveAreDoneWithout) {
  std::atomic<int64_t> next = 0, done = 0;
  const auto work = [&] {
    for (int64_t i = next++; i < 1000; i = next++) ++done;
  };
  {
    const NoMoreThreads none;
    EXPECT_THROW(std::thread([] {}), std::system_error);
    run_with_helpers(7, work);
  }
  EXPECT_EQ(done, 1000);
  next = done = 0;
  run_with_helpers(7, work);
  EXPECT_EQ(done, 1000);
}

}  // namespace
}  // namespace dsv4
