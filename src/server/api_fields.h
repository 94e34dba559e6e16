// The fields of a request: typed, range-checked access, and errors that name the field as a client would write it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "text/python_json.h"

namespace dsv4 {

/// The body of a request. ApiError for what is no UTF-8, no JSON, no object, or of more levels than any request has.
PyJson parse_api_body(std::string_view body);

/// A value and its place. Every error is an ApiError 400 whose param is the place.
class ApiField {
 public:
  /// `value` is nullptr where the field is missing; it has to outlive this.
  ApiField(const PyJson* value, std::string path) : value_(value), path_(std::move(path)) {}

  bool missing() const { return value_ == nullptr; }
  /// Missing or null.
  bool absent() const { return missing() || value_->is_null(); }
  const PyJson& json() const { return *value_; }
  const std::string& path() const { return path_; }
  template <class T>
  const T* as() const {
    return missing() ? nullptr : value_->as<T>();
  }

  [[noreturn]] void refuse(const std::string& why, const std::string& code = {}) const;
  /// "found X, expected Y".
  [[noreturn]] void wrong(const std::string& expected) const;

  ApiField operator[](const std::string& key) const {
    return {missing() ? nullptr : value_->find(key), path_.empty() ? key : path_ + "." + key};
  }
  /// An item of a list.
  ApiField operator[](size_t i) const { return {&(*as<PyJson::List>())[i], path_ + "[" + std::to_string(i) + "]"}; }
  size_t list_size(const std::string& expected = "a list") const;
  const PyJson::Object& object(const std::string& expected = "an object") const;

  std::string text(const std::string& expected = "a string") const;
  std::string text_or(std::string fallback) const { return absent() ? std::move(fallback) : text(); }
  bool flag_or(bool fallback) const;
  int64_t integer(int64_t low, int64_t high) const;
  int64_t integer_or(int64_t low, int64_t high, int64_t fallback) const { return absent() ? fallback : integer(low, high); }
  double number(double low, double high) const;
  double number_or(double low, double high, double fallback) const { return absent() ? fallback : number(low, high); }
  /// The place in the list of a string that has to be one of them.
  size_t one_of(std::initializer_list<const char*> names) const;
  /// Text of it, short, for messages.
  std::string shown() const;

 private:
  const PyJson* value_;
  std::string path_;
};

}  // namespace dsv4
