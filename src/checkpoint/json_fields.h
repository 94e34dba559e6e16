// Typed, range-checked access to JSON that came from a file: one line of explanation for what cannot be used.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "checkpoint/small_file.h"
#include "dsv4/error.h"

namespace dsv4 {

using JsonFile = SmallFileKind;

/// ASCII letters in lower case: values whose case writers do not agree on.
std::string lower_case(std::string text);

/// Parses and demands an object. Error for anything else, for deep nesting and for more bytes than `kind` allows.
nlohmann::json parse_json_object(std::string_view text, const std::string& where, const JsonFile& kind);
/// The same with the fields in the order of the text, for a file that is written again.
nlohmann::ordered_json parse_ordered_json_object(std::string_view text, const std::string& where, const JsonFile& kind);

/// The value as one short line of ASCII.
std::string shown(const nlohmann::json& value);

/// One JSON object with typed, range-checked access; `path_` is what messages call it ("rope_scaling.").
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where, std::string path = "")
      : object_(object), where_(std::move(where)), path_(std::move(path)) {}

  template <class... Parts>
  [[noreturn]] void refuse(const std::string& key, const Parts&... parts) const {
    fail(where_, ": ", path_, key, ": ", parts...);
  }

  /// The value; nullptr when absent or null.
  const nlohmann::json* find(const std::string& key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  bool is_null(const std::string& key) const { return object_.contains(key) && object_.at(key).is_null(); }

  const nlohmann::json& need(const std::string& key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) refuse(key, is_null(key) ? "found null" : "missing", ", expected a value");
    return *value;
  }

  int64_t as_integer(const std::string& key, const nlohmann::json& value, int64_t low, int64_t high) const {
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
    if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high) {
      refuse(key, "found ", shown(value), ", expected an integer in ", low, "..", high);
    }
    return value.get<int64_t>();
  }

  int64_t integer(const std::string& key, int64_t low, int64_t high) const { return as_integer(key, need(key), low, high); }

  int64_t integer_or(const std::string& key, int64_t low, int64_t high, int64_t fallback) const {
    const nlohmann::json* value = find(key);
    return value == nullptr ? fallback : as_integer(key, *value, low, high);
  }

  double as_number(const std::string& key, const nlohmann::json& value, double low, double high) const {
    if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high)) {
      refuse(key, "found ", shown(value), ", expected a number in ", low, "..", high);
    }
    return value.get<double>();
  }

  double number(const std::string& key, double low, double high) const { return as_number(key, need(key), low, high); }

  double number_or(const std::string& key, double low, double high, double fallback) const {
    const nlohmann::json* value = find(key);
    return value == nullptr ? fallback : as_number(key, *value, low, high);
  }

  std::string as_text(const std::string& key, const nlohmann::json& value) const {
    if (!value.is_string()) refuse(key, "found ", shown(value), ", expected a string");
    return value.get<std::string>();
  }

  const nlohmann::json& as_list(const std::string& key, const nlohmann::json& value) const {
    if (!value.is_array()) refuse(key, "found ", shown(value), ", expected a list");
    return value;
  }

  Fields as_object(const std::string& key, const nlohmann::json& value) const {
    if (!value.is_object()) refuse(key, "found ", shown(value), ", expected an object");
    return {value, where_, path_ + key + "."};
  }

  /// Absent, null or exactly `only`; anything else is named and refused with `reason`.
  void text_must_be(const std::string& key, const std::string& only, const std::string& reason) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && *value != only) refuse(key, "found ", shown(*value), ", expected \"", only, "\": ", reason);
  }

  void flag_must_be(const std::string& key, bool only, const std::string& reason) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) refuse(key, "found ", shown(*value), ", expected true or false");
    if (value->get<bool>() != only) refuse(key, "found ", shown(*value), ", expected ", only ? "true" : "false", ": ", reason);
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::string path_;
};

}  // namespace dsv4
