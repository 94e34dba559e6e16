// What a request says of its tools, as far as reading calls of them needs it: names, parameters, and what these may be.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "text/python_json.h"

namespace dsv4 {

/// The types of JSON that a schema allows, as bits.
class JsonTypes {
 public:
  enum Bit : unsigned { kString = 1, kInteger = 2, kNumber = 4, kBoolean = 8, kNull = 16, kObject = 32, kList = 64, kAny = 127 };

  JsonTypes(unsigned bits = kAny) : bits_(bits) {}

  bool only_string() const { return bits_ == kString; }
  bool allow_string() const { return (bits_ & kString) != 0; }
  /// Whether a value is of one of the types; 5.0 is an integer, as in JSON Schema.
  bool allow(const PyJson& value) const;

 private:
  unsigned bits_;
};

/// A tool as it is declared.
struct DeclaredTool {
  bool has_properties = false;  ///< whether a schema lists parameters
  std::map<std::string, JsonTypes, std::less<>> parameters;

  JsonTypes types(std::string_view parameter) const;
};

/// The tools of a request.
class CompletionTools {
 public:
  CompletionTools() = default;

  /// A list of tools in OpenAI's form, or of their `function` objects; or a request: an object with `tools` and, may be, `tool_choice`, which "none" leaves
  /// without tools. Error that names `where` and the field for anything else.
  static CompletionTools parse(std::string_view json, const std::string& where);

  bool empty() const { return tools_.empty(); }
  /// nullptr when no tool has the name.
  const DeclaredTool* find(std::string_view name) const;

 private:
  std::map<std::string, DeclaredTool, std::less<>> tools_;
};

}  // namespace dsv4
