// What exceptions say.
#include "runtime/errors.h"

#include <algorithm>
#include <new>
#include <string_view>

namespace dsv4 {

namespace {

constexpr size_t kLongest = 400;

/// Takes every "Check 'a > b' failed at src/x.cpp:77: " out of `line`. Returns the conditions without the places in OpenVINO's sources.
std::string take_conditions(std::string& line) {
  constexpr std::string_view kFailed = "' failed at ";
  std::string conditions;
  for (size_t failed = line.find(kFailed); failed != std::string::npos; failed = line.find(kFailed)) {
    const size_t check = line.rfind("Check '", failed), begin = check == std::string::npos ? failed : check;
    const size_t end = line.find(": ", failed);
    conditions += concat(conditions.empty() ? "" : " ", line.substr(begin, failed + 1 - begin));
    line.erase(begin, end == std::string::npos ? end : end + 2 - begin);
  }
  return conditions;
}

bool is_place(std::string_view line) { return line.find("Exception from ") != std::string_view::npos; }

}  // namespace

std::string first_line(const std::string& text) {
  // OpenVINO's messages begin with places in sources and the conditions that failed there; the reason follows on later lines, if somebody stated one.
  std::string line, conditions;
  const auto add = [](std::string& to, std::string_view part) {
    if (!part.empty()) (to += to.empty() ? "" : " ") += part;
  };
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    if (is_place(part)) continue;
    add(conditions, take_conditions(part));
    add(line, part);
  }
  return shortened(escaped(line.empty() ? conditions : line), kLongest);
}

std::string reason_of(const std::exception& error) {
  // OpenVINO hands an exception on as text: its own allocations' after the first, oneDNN's after the second.
  const std::string text = error.what();
  bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  for (const char* words : {"std::bad_alloc", "Failed to allocate", "can't alloc"})
    memory = memory || text.find(words) != std::string::npos;
  return memory ? "not enough memory" : first_line(text);
}

}  // namespace dsv4
