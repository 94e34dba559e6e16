// The arguments of a call as JSON text, written while its parameters come in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/completion_tools.h"
#include "text/whole_characters.h"

namespace dsv4 {

/// Values that are surely strings are written as they come; the others when they are whole, since only then is it known what they are.
class CallArguments {
 public:
  /// `tool` is nullptr for a call of a tool that the request does not declare; it has to outlive this.
  explicit CallArguments(const DeclaredTool* tool) : tool_(tool) {}

  /// Text of the call that is in no parameter: together it may be the whole object.
  void body(std::string_view text);
  /// Whether what was given to body() begins like an object.
  bool body_is_object() const;
  /// A parameter begins; `text` is its attribute `string`.
  void open(std::string_view name, std::optional<bool> text);
  /// More of its value.
  void value(std::string_view bytes);
  /// It ends.
  void close();
  /// A parameter that cannot be read: what stands in the call is no object, and the parameter is left out.
  void skip() { has_parameters_ = true; }
  bool has_parameters() const { return has_parameters_; }
  /// The call ends: what take() gave is the whole object.
  void finish();
  /// What was written since the last time. Of a call that is cut it is the beginning of an object, and may be empty.
  std::string take();

 private:
  enum class Value { kNone, kStreamed, kHeld, kWrapped };

  void begin_member(std::string_view name);
  void add_member(std::string_view name, const std::string& json);
  /// JSON text of a held value.
  std::string held_json() const;
  /// The arguments in a parameter that stands for all of them; nothing where it does not.
  std::optional<std::string> unwrapped() const;
  void write_wrapped();

  const DeclaredTool* tool_;
  bool has_parameters_ = false, has_members_ = false, wrapped_ = false;
  Value value_ = Value::kNone;
  std::string name_, held_, body_, written_;
  std::optional<bool> text_;
  WholeCharacters characters_;
};

}  // namespace dsv4
