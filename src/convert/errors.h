// What ends a conversion, told apart by what becomes of the work: the input's fault leaves nothing, all else leaves what is finished.
#pragma once

#include <string>

#include "dsv4/error.h"

namespace dsv4 {

/// The disk did not take what was to be written; what was written before is good.
class WriteError : public Error {
 public:
  using Error::Error;
};

/// Somebody asked the conversion to stop; the finished pieces are recorded.
class Interrupted : public Error {
 public:
  using Error::Error;
};

/// The checkpoint holds what cannot be converted, or was changed while it was read: the same command would fail again.
class BadInput : public Error {
 public:
  using Error::Error;
};

/// An errno of writing in words, with what to do about it.
std::string write_error_text(int error);

template <class... Parts>
[[noreturn]] void fail_write(const Parts&... parts) {
  throw WriteError(concat(parts...));
}

}  // namespace dsv4
