// Field by field.
#include "cli/prompt_line.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"
#include "cli/suggestion.h"
#include "dsv4/error.h"
#include "text/python_json.h"

namespace dsv4 {

namespace {

constexpr size_t kMostShown = 60;
/// An object with a list in it; some more, so that what is too much is named by its field.
constexpr size_t kMostLevels = 16;
constexpr int64_t kMostCount = std::numeric_limits<int32_t>::max();  // as of the command's options

const std::vector<std::string> kFields = {"prompt", "tokens", "id",    "max_new_tokens", "temperature",
                                          "top_p",  "top_k",  "min_p", "seed",           "stop"};

/// A field of the line and its value, which is neither missing nor null.
struct Field {
  const char* name;
  const PyJson& value;

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... expected) const {
    fail(name, ": found ", shortened(escaped(value.dump()), kMostShown), ", expected ", expected...);
  }

  template <class T>
  T integer(T low, T high) const {
    const auto* number = value.as<PyJson::Integer>();
    T read = 0;
    if (number == nullptr) refuse("an integer from ", low, " to ", high);
    const std::string& digits = number->digits;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), read);
    if (error != std::errc() || end != digits.data() + digits.size() || read < low || read > high)
      refuse("an integer from ", low, " to ", high);
    return read;
  }

  /// A finite number from `low` to `high`; `expected` says it in words.
  double number(double low, double high, const char* expected) const {
    double read = std::numeric_limits<double>::quiet_NaN();
    if (const auto* number = value.as<double>()) read = *number;
    if (const auto* number = value.as<PyJson::Integer>()) {
      const std::string& digits = number->digits;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), read);
      if (error != std::errc()) read = std::numeric_limits<double>::quiet_NaN();
    }
    if (!std::isfinite(read) || read < low || read > high) refuse(expected);
    return read;
  }

  std::string text() const {
    const auto* text = value.as<std::string>();
    if (text == nullptr) refuse("a string");
    if (invalid_utf8(*text))
      fail(name, ": has half of a surrogate pair (\\uD800 to \\uDFFF), which is no character; write the character itself");
    return *text;
  }

  const PyJson::List& list(const char* expected) const {
    const auto* items = value.as<PyJson::List>();
    if (items == nullptr) refuse(expected);
    return *items;
  }
};

PyJson parsed(std::string_view line, PyJson::Problem& problem) {
  if (const std::optional<size_t> at = invalid_utf8(line)) fail("byte ", *at, " of the line is not UTF-8");
  std::optional<PyJson> json = PyJson::parse(line, &problem, kMostLevels);
  if (!json && problem.too_deep) fail("lists and objects in more than ", kMostLevels, " levels, expected one object");
  if (!json) fail("no JSON: byte ", problem.byte, " of the line: ", problem.what);
  return *std::move(json);
}

/// `twice`: a name that comes again, of which the parser keeps the last.
void check_names(const PyJson::Object& members, const std::string& twice) {
  for (const PyJson::Member& member : members) {
    if (std::find(kFields.begin(), kFields.end(), member.key) == kFields.end())
      fail(quote(member.key), ": no such field", did_you_mean(member.key, kFields, "docs/prompts.md"));
  }
  if (!twice.empty()) fail(twice, ": the field comes twice, expected one of each name");
}

/// A string or an integer, as JSON.
std::string id_of(const Field& field) {
  if (const auto* number = field.value.as<PyJson::Integer>()) return number->digits;
  if (field.value.as<std::string>() == nullptr) field.refuse("a string or an integer");
  return json_text(field.text());
}

std::vector<std::string> stops_of(const Field& field) {
  std::vector<std::string> stop;
  if (field.value.as<std::string>() != nullptr) {
    stop.push_back(field.text());
  } else {
    for (const PyJson& item : field.list("a string, or a list of strings")) stop.push_back(Field{field.name, item}.text());
  }
  if (std::find(stop.begin(), stop.end(), "") != stop.end()) field.refuse("strings of at least one character");
  return stop;
}

}  // namespace

PromptLine read_prompt_line(std::string_view line, const Request& defaults, const std::vector<std::string>& stop) {
  PyJson::Problem problem;
  const PyJson json = parsed(line, problem);
  const auto* members = json.as<PyJson::Object>();
  if (members == nullptr)
    fail("found ", shortened(escaped(json.dump()), kMostShown), ", expected an object: {\"prompt\": TEXT} or {\"tokens\": [1, 2, 3]}");
  check_names(*members, problem.twice);
  const auto with = [&](const char* name, const auto& use) {
    const PyJson* value = json.find(name);
    if (value != nullptr && !value->is_null()) use(Field{name, *value});
  };
  PromptLine out;
  out.request = defaults;
  out.request.prompt.clear();
  out.stop = stop;
  SamplerOptions& sampler = out.request.sampler;
  constexpr double kLargest = std::numeric_limits<double>::max();
  with("prompt", [&](const Field& field) { out.prompt = field.text(); });
  with("tokens", [&](const Field& field) {
    if (out.prompt) fail("prompt and tokens: expected one of the two");
    for (const PyJson& id : field.list("a list of token ids: [1, 2, 3]")) {
      out.request.prompt.push_back(Field{"tokens", id}.integer<int64_t>(0, kMostCount));
    }
    if (out.request.prompt.empty()) field.refuse("a list of token ids: [1, 2, 3]");
  });
  with("id", [&](const Field& field) { out.id = id_of(field); });
  with("max_new_tokens", [&](const Field& field) { out.request.max_new_tokens = field.integer<int64_t>(0, kMostCount); });
  with("temperature", [&](const Field& field) { sampler.temperature = field.number(0.0, kLargest, "a number of 0 or more"); });
  with("top_p", [&](const Field& field) {
    sampler.top_p = field.number(std::numeric_limits<double>::denorm_min(), 1.0, "a number above 0, at most 1");
  });
  with("top_k", [&](const Field& field) { sampler.top_k = field.integer<int64_t>(0, kMostCount); });
  with("min_p", [&](const Field& field) { sampler.min_p = field.number(0.0, 1.0, "a number from 0 to 1"); });
  with("seed", [&](const Field& field) { sampler.seed = field.integer<uint64_t>(0, std::numeric_limits<uint64_t>::max()); });
  with("stop", [&](const Field& field) { out.stop = stops_of(field); });
  if (!out.prompt && out.request.prompt.empty()) fail("prompt: missing, expected a text, or \"tokens\" with a list of ids");
  return out;
}

}  // namespace dsv4
