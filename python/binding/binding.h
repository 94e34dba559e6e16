// What the functions of the Python API's library share: C in their signatures, so that any Python can call them through ctypes.
//
// A function that can fail returns an Status; the line of the error is then last_line() of the same thread. Handles are made by *_open, *_new and
// the like and are freed by *_close; they may be used by one thread at a time, which the Python side sees to. Python's lock is not held meanwhile:
// ctypes gives it back before it calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <stop_token>
#include <string>
#include <vector>

#include "dsv4/error.h"

#define DSV4_PYTHON extern "C" __attribute__((visibility("default")))

namespace dsv4::python {

/// The numbers are those of _library.py.
enum Status : int { kDone = 0, kError = 1, kUsage = 2, kCancelled = 3 };

/// Asks what runs in another thread to stop.
struct Stop {
  std::atomic<bool> flag = false;
  std::stop_source source;
};

using Progress = void (*)(uint64_t done, uint64_t total);
using Notice = void (*)(const char* line);

/// Keeps the line of an exception and says of which kind it is.
Status kept(const std::exception& error) noexcept;
Status kept_unknown() noexcept;

/// Nothing that `work` throws gets out.
template <class F>
Status guarded(const F& work) noexcept {
  try {
    work();
    return kDone;
  } catch (const std::exception& error) {
    return kept(error);
  } catch (...) {
    return kept_unknown();
  }
}

/// The arguments of a command, as the program would get them, behind the name of the program.
class Arguments {
 public:
  Arguments(const char* command, const char* const* words, int64_t count);

  int count() const { return static_cast<int>(pointers_.size()) - 1; }
  char** words() { return pointers_.data(); }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

/// Both stay until the thread's next call.
const char* handed_out(std::string text);
const std::vector<int64_t>& handed_out(std::vector<int64_t> numbers);

}  // namespace dsv4::python
