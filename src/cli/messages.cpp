// Lines on standard error.
#include "cli/messages.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "runtime/errors.h"

namespace dsv4 {

namespace {

constexpr std::string_view kPrefix = "dsv4: ";
constexpr size_t kLongestLine = 1999;

}  // namespace

std::string message_line(std::string_view text) {
  return concat(kPrefix, shortened(escaped(text), kLongestLine - kPrefix.size() - 1), '\n');
}

void print_notice(std::string_view text) {
  const std::string line = message_line(text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void print_error(std::string_view text) {
  std::cout.flush();
  std::fflush(stdout);
  print_notice(concat("error: ", text));
}

std::string error_text(const std::exception& error) {
  if (dynamic_cast<const Error*>(&error) != nullptr) return error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "out of memory";
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    const std::string second = file->path2().empty() ? "" : concat(" and ", path_text(file->path2()));
    return concat(path_text(file->path1()), second, ": ", file->code().message(), "; check the path and its permissions");
  }
  return concat("an unexpected failure: ", reason_of(error));
}

}  // namespace dsv4
