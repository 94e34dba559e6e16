// Making and joining of helpers.
#include "checkpoint/helper_threads.h"

#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace dsv4 {

void run_with_helpers(int64_t helpers, const std::function<void()>& work) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;  // joins whatever was made
    threads.reserve(static_cast<size_t>(helpers));
    try {
      for (int64_t i = 0; i < helpers; ++i) threads.emplace_back(guarded);
    } catch (const std::system_error&) {  // then those that are there do it
    } catch (const std::bad_alloc&) {
    }
    guarded();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace dsv4
