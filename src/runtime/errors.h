// Exceptions of OpenVINO and of the standard library as dsv4::Error.
#pragma once

#include <exception>
#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

/// What an OpenVINO exception says, without the places in its sources, on one line of a few hundred bytes.
std::string first_line(const std::string& text);

/// The reason that an exception gives, on one line; want of memory in words.
std::string reason_of(const std::exception& error);

/// What f() returns. The name of the file that an Error of its is about goes in front of it.
template <class F>
auto in_file(const std::filesystem::path& file, const F& f) {
  try {
    return f();
  } catch (const Error& error) {
    fail(path_text(file), ": ", error.what());
  }
}

/// What f() returns. Whatever it throws that is no Error becomes one: `what`, then the reason.
template <class F>
auto with_errors(const char* what, const F& f) {
  try {
    return f();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(what, ": ", reason_of(error));
  }
}

/// The line of what f() throws, whatever it is; nothing where it throws nothing. For work of which one part must not end the others.
template <class F>
std::optional<std::string> failure_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return reason_of(error);
  } catch (...) {
    return "an exception without a text";
  }
  return std::nullopt;
}

}  // namespace dsv4
