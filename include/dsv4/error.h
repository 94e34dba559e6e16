// The one error type of dsv4: a single line that says what is wrong, where, what was expected and found, and what to do.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace dsv4 {

/// Bad input or an environment that cannot do what was asked. `what()` is one line; the program prints it and exits with 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Wrong usage of the command line; the program prints it and exits with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The parts, streamed one after another into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws Error with the parts as its line.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(concat(parts...));
}

}  // namespace dsv4
