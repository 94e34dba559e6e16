// What exceptions say.
#include "runtime/errors.h"

#include <algorithm>
#include <new>
#include <string_view>

namespace dsv4 {

namespace {

constexpr size_t kLongest = 400;

/// Without " failed at src/..." and what follows: the place of a condition in OpenVINO's sources.
std::string_view without_place(std::string_view condition) { return condition.substr(0, condition.find(" failed at ")); }

bool is_place(std::string_view line) { return line.find("Exception from ") != std::string_view::npos; }

}  // namespace

std::string first_line(const std::string& text) {
  // OpenVINO's messages begin with places in sources and the conditions that failed there; the reason follows on later lines, if somebody stated one.
  std::string line, conditions;
  const auto add = [](std::string& to, std::string_view part) { (to += to.empty() ? "" : " ") += part; };
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || is_place(part)) continue;
    const bool condition = part.starts_with("Check '") && part.find("' failed at ") != std::string_view::npos;
    condition ? add(conditions, without_place(part)) : add(line, part);
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
