// Typed access to a request.
#include "server/api_fields.h"

#include <charconv>
#include <cmath>

#include "checkpoint/quote.h"
#include "checkpoint/utf8.h"

namespace dsv4 {

namespace {

constexpr size_t kMostLevels = 100;
constexpr size_t kMostShown = 80;

std::string short_number(double value) {
  const std::string text = python_float(value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

}  // namespace

PyJson parse_api_body(std::string_view body) {
  if (const std::optional<size_t> byte = invalid_utf8(body)) throw ApiError(400, concat("the body is not UTF-8: byte ", *byte));
  PyJson::Problem problem;
  std::optional<PyJson> json = PyJson::parse(body, &problem, kMostLevels);
  if (!json && problem.too_deep) throw ApiError(400, concat("the body has lists and objects in more than ", kMostLevels, " levels"));
  if (!json) throw ApiError(400, concat("the body is not JSON: byte ", problem.byte, ": ", problem.what));
  if (json->as<PyJson::Object>() == nullptr) throw ApiError(400, "the body is no JSON object");
  return *std::move(json);
}

void ApiField::refuse(const std::string& why, const std::string& code) const {
  throw ApiError(400, concat(excerpt(path_), ": ", why), path_, code);
}

void ApiField::wrong(const std::string& expected) const {
  if (missing()) refuse("missing, expected " + expected);
  refuse("found " + shown() + ", expected " + expected);
}

std::string ApiField::shown() const {
  if (const auto* text = as<std::string>()) return quote(*text);
  if (as<PyJson::List>() != nullptr) return "a list";
  if (as<PyJson::Object>() != nullptr) return "an object";
  return shortened(escaped(value_->dump()), kMostShown);
}

size_t ApiField::list_size(const std::string& expected) const {
  const auto* list = as<PyJson::List>();
  if (list == nullptr) wrong(expected);
  return list->size();
}

const PyJson::Object& ApiField::object(const std::string& expected) const {
  const auto* members = as<PyJson::Object>();
  if (members == nullptr) wrong(expected);
  return *members;
}

std::string ApiField::text(const std::string& expected) const {
  const auto* value = as<std::string>();
  if (value == nullptr) wrong(expected);
  // The body is UTF-8, so what is none came from an escape.
  if (invalid_utf8(*value)) refuse("half of a surrogate pair (\\ud800 to \\udfff), which is no character");
  return *value;
}

bool ApiField::flag_or(bool fallback) const {
  if (absent()) return fallback;
  const auto* value = as<bool>();
  if (value == nullptr) wrong("true or false");
  return *value;
}

int64_t ApiField::integer(int64_t low, int64_t high) const {
  const auto* number = as<PyJson::Integer>();
  int64_t value = 0;
  bool fits = false;
  if (number != nullptr) {
    const std::string& digits = number->digits;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    fits = error == std::errc() && end == digits.data() + digits.size();
  }
  if (!fits || value < low || value > high) wrong(concat("an integer from ", low, " to ", high));
  return value;
}

double ApiField::number(double low, double high) const {
  double value = NAN;
  if (const auto* whole = as<PyJson::Integer>()) value = std::strtod(whole->digits.c_str(), nullptr);
  if (const auto* fraction = as<double>()) value = *fraction;
  if (!(value >= low && value <= high)) wrong("a number from " + short_number(low) + " to " + short_number(high));
  return value;
}

size_t ApiField::one_of(std::initializer_list<const char*> names) const {
  std::string list;
  size_t i = 0;
  for (const char* name : names) {
    if (const auto* value = as<std::string>(); value != nullptr && *value == name) return i;
    list += (i == 0 ? "\"" : i + 1 < names.size() ? "\", \"" : "\" or \"") + std::string(name);
    ++i;
  }
  wrong(list + "\"");
}

}  // namespace dsv4
