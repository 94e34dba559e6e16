// Line by line; only the indices stay.
#include "cli/finished_lines.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/quote.h"
#include "cli/line_reader.h"
#include "dsv4/error.h"
#include "text/python_json.h"

namespace dsv4 {

namespace {

/// Of a line with a long text.
constexpr size_t kMostBytes = size_t{256} << 20;
constexpr std::string_view kBeginning = "{\"index\":";

bool begins_as_output(std::string_view line) {
  const size_t length = std::min(line.size(), kBeginning.size());
  return line.substr(0, length) == kBeginning.substr(0, length);
}

std::optional<int64_t> index_of(const PyJson& json) {
  const PyJson* index = json.find("index");
  const auto* number = index != nullptr ? index->as<PyJson::Integer>() : nullptr;
  if (number == nullptr) return std::nullopt;
  int64_t value = 0;
  const std::string& digits = number->digits;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

FinishedLines read_finished_lines(const std::filesystem::path& file) {
  LineReader reader(file, kMostBytes);
  FinishedLines finished;
  Line line;
  for (int64_t number = 1; reader.next(line) == LineReader::Found::kLine; ++number) {
    finished.cut = !line.ended;
    if (line.text.empty() && !line.too_long) continue;
    const std::optional<PyJson> json = line.too_long ? std::nullopt : PyJson::parse(line.text);
    if (!json && (finished.cut || (begins_as_output(line.text) && !line.too_long))) {
      ++finished.damaged;
      continue;
    }
    const std::optional<int64_t> index = json ? index_of(*json) : std::nullopt;
    if (!index) {
      fail("--resume ", path_text(file), ": line ", number,
           " is no line of the output of `dsv4 run --prompts`: expected {\"index\": ...}; give the file ",
           "that an earlier run wrote, or take the line out");
    }
    if (json->find("error") == nullptr) finished.done.insert(*index);
  }
  return finished;
}

}  // namespace dsv4
