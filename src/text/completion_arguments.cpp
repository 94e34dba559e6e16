// The arguments of a call.
#include "text/completion_arguments.h"

#include <algorithm>
#include <utility>

#include "checkpoint/utf8.h"
#include "text/completion_markers.h"
#include "text/python_json.h"

namespace dsv4 {

namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_text(out, text);
  return out;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kCompletionSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kCompletionSpace) - first + 1);
}

/// Nothing where it is no object.
std::optional<PyJson> object_of(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with('{') || !text.ends_with('}')) return std::nullopt;
  std::optional<PyJson> json = PyJson::parse(text);
  return json && json->as<PyJson::Object>() ? json : std::nullopt;
}

}  // namespace

void CallArguments::body(std::string_view text) {
  if (!has_parameters_) body_ += text;
}

bool CallArguments::body_is_object() const {
  const size_t first = body_.find_first_not_of(kCompletionSpace);
  return first != std::string::npos && body_[first] == '{';
}

void CallArguments::begin_member(std::string_view name) {
  written_ += has_members_ ? ", " : "{";
  append_json_text(written_, replace_invalid_utf8(name));
  written_ += ": ";
  has_members_ = true;
}

void CallArguments::add_member(std::string_view name, const std::string& json) {
  begin_member(name);
  written_ += json;
}

void CallArguments::open(std::string_view name, std::optional<bool> text) {
  write_wrapped();
  const bool first = !has_parameters_;
  has_parameters_ = true;
  std::string().swap(body_);
  name_ = name;
  text_ = text;
  const JsonTypes types = tool_ ? tool_->types(name) : JsonTypes();
  const bool may_wrap =
      first && tool_ && tool_->has_properties && !tool_->parameters.contains(name) && (name == "arguments" || name == "input");
  const bool is_string = types.only_string() || (text.value_or(false) && types.allow_string());
  value_ = may_wrap ? Value::kWrapped : is_string ? Value::kStreamed : Value::kHeld;
  if (value_ != Value::kStreamed) return;
  begin_member(name_);
  written_ += '"';
}

void CallArguments::value(std::string_view bytes) {
  if (value_ != Value::kStreamed) {
    held_ += bytes;
    return;
  }
  std::string whole, json;
  characters_.push(bytes, whole);
  append_json_text(json, whole);
  written_.append(json, 1, json.size() - 2);  // without its quotes
}

void CallArguments::close() {
  switch (std::exchange(value_, Value::kNone)) {
    case Value::kNone:
      return;
    case Value::kStreamed:
      characters_.finish(written_);  // U+FFFD or nothing: no escape
      written_ += '"';
      return;
    case Value::kHeld:
      add_member(name_, held_json());
      std::string().swap(held_);
      return;
    case Value::kWrapped:
      wrapped_ = true;  // until it is known whether it is the only one
      return;
  }
}

std::string CallArguments::held_json() const {
  const std::string text = replace_invalid_utf8(held_);
  const JsonTypes types = tool_ ? tool_->types(name_) : JsonTypes();
  if (types.only_string() || (text_.value_or(false) && types.allow_string())) return json_string(text);
  constexpr size_t kLevels = PyJson::kMostLevels - 1;  // the arguments are one more
  // What the model itself calls JSON is believed; where the schema alone says so the value has to fit it.
  if (text_ == std::optional(false)) {
    std::optional<std::string> printed = PyJson::printed(text, kLevels);
    return printed ? *std::move(printed) : json_string(text);
  }
  const std::optional<PyJson> json = PyJson::parse(text, nullptr, kLevels);
  return json && types.allow(*json) ? json->dump() : json_string(text);
}

std::optional<std::string> CallArguments::unwrapped() const {
  const std::string text = replace_invalid_utf8(held_);
  std::optional<PyJson> object = object_of(text);
  if (!object) {  // in a JSON string
    const std::optional<PyJson> json = PyJson::parse(text);
    if (json && json->as<std::string>()) object = object_of(*json->as<std::string>());
  }
  if (!object) return std::nullopt;
  const PyJson::Object& members = *object->as<PyJson::Object>();
  const auto declared = [&](const PyJson::Member& member) { return tool_->parameters.contains(member.key); };
  if (!std::all_of(members.begin(), members.end(), declared)) return std::nullopt;
  return object->dump();
}

void CallArguments::write_wrapped() {
  if (!std::exchange(wrapped_, false)) return;
  add_member(name_, held_json());
  std::string().swap(held_);
}

void CallArguments::finish() {
  close();
  if (wrapped_) {
    if (std::optional<std::string> all = unwrapped()) {
      written_ += *all;
      wrapped_ = false;
      return;
    }
    write_wrapped();
  }
  if (has_members_) {
    written_ += '}';
    return;
  }
  const std::optional<PyJson> object = has_parameters_ ? std::nullopt : object_of(replace_invalid_utf8(body_));
  written_ += object ? object->dump() : "{}";
}

std::string CallArguments::take() { return std::exchange(written_, {}); }

}  // namespace dsv4
