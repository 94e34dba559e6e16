// Tools and their schemas.
#include "text/completion_tools.h"

#include <cmath>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

constexpr int kMostSchemas = 1000;  // looked at for one parameter: schemas may refer to themselves

unsigned type_of(const PyJson& value) {
  constexpr unsigned kTypes[] = {JsonTypes::kNull,   JsonTypes::kBoolean, JsonTypes::kInteger, JsonTypes::kNumber,
                                 JsonTypes::kString, JsonTypes::kList,    JsonTypes::kObject};
  return kTypes[value.value().index()];
}

unsigned named_type(std::string_view name) {
  constexpr std::pair<std::string_view, unsigned> kNames[] = {
      {"string", JsonTypes::kString},   {"integer", JsonTypes::kInteger}, {"number", JsonTypes::kNumber | JsonTypes::kInteger},
      {"boolean", JsonTypes::kBoolean}, {"null", JsonTypes::kNull},       {"object", JsonTypes::kObject},
      {"array", JsonTypes::kList}};
  for (const auto& [known, bits] : kNames) {
    if (name == known) return bits;
  }
  return JsonTypes::kAny;
}

/// `#/$defs/Place` from the root of the tool's schema.
const PyJson* referred(const PyJson& root, std::string_view path) {
  if (!path.starts_with("#/")) return nullptr;
  const PyJson* at = &root;
  for (path.remove_prefix(2); at != nullptr;) {
    const size_t slash = path.find('/');
    at = at->find(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return at;
}

/// The types that a schema allows: any where it does not say, so that nothing is changed for a schema that is not understood.
unsigned allowed_types(const PyJson& schema, const PyJson& root, int& left) {
  if (schema.as<PyJson::Object>() == nullptr || left-- <= 0) return JsonTypes::kAny;
  unsigned bits = JsonTypes::kAny;
  const auto narrow = [&](const char* key, bool all) {
    const PyJson* field = schema.find(key);
    const PyJson::List* parts = field ? field->as<PyJson::List>() : nullptr;
    if (parts == nullptr || parts->empty()) return;
    unsigned either = 0, both = JsonTypes::kAny;
    for (const PyJson& part : *parts) {
      const unsigned types = allowed_types(part, root, left);
      either |= types;
      both &= types;
    }
    bits &= all ? both : either;
  };
  if (const PyJson* path = schema.find("$ref"); path && path->as<std::string>()) {
    if (const PyJson* other = referred(root, *path->as<std::string>())) bits &= allowed_types(*other, root, left);
  }
  if (const PyJson* type = schema.find("type")) {
    unsigned named = 0;
    if (const auto* name = type->as<std::string>()) named = named_type(*name);
    if (const auto* names = type->as<PyJson::List>()) {
      for (const PyJson& item : *names) named |= item.as<std::string>() ? named_type(*item.as<std::string>()) : JsonTypes::kAny;
    }
    if (named != 0) bits &= named;
  }
  if (const PyJson* values = schema.find("enum"); values && values->as<PyJson::List>() && !values->as<PyJson::List>()->empty()) {
    unsigned listed = 0;
    for (const PyJson& value : *values->as<PyJson::List>()) listed |= type_of(value);
    bits &= listed;
  }
  if (const PyJson* value = schema.find("const")) bits &= type_of(*value);
  narrow("anyOf", false);
  narrow("oneOf", false);
  narrow("allOf", true);
  if (bits == JsonTypes::kAny && schema.find("properties")) bits = JsonTypes::kObject;
  if (bits == JsonTypes::kAny && schema.find("items")) bits = JsonTypes::kList;
  if (const PyJson* nullable = schema.find("nullable"); nullable && nullable->as<bool>() && *nullable->as<bool>()) bits |= JsonTypes::kNull;
  return bits == 0 ? JsonTypes::kAny : bits;
}

DeclaredTool declared(const PyJson* schema) {
  DeclaredTool tool;
  const PyJson* properties = schema ? schema->find("properties") : nullptr;
  const PyJson::Object* members = properties ? properties->as<PyJson::Object>() : nullptr;
  if (members == nullptr) return tool;
  tool.has_properties = true;
  for (const PyJson::Member& member : *members) {
    int left = kMostSchemas;
    tool.parameters.emplace(member.key, JsonTypes(allowed_types(member.value, *schema, left)));
  }
  return tool;
}

}  // namespace

bool JsonTypes::allow(const PyJson& value) const {
  const double* number = value.as<double>();
  const bool whole = number && std::isfinite(*number) && std::floor(*number) == *number;
  return (bits_ & (whole ? type_of(value) | kInteger : type_of(value))) != 0;
}

JsonTypes DeclaredTool::types(std::string_view parameter) const {
  const auto found = parameters.find(parameter);
  return found == parameters.end() ? JsonTypes() : found->second;
}

CompletionTools CompletionTools::parse(std::string_view json, const std::string& where) {
  PyJson::Problem problem;
  const std::optional<PyJson> read = PyJson::parse(json, &problem);
  if (!read) fail(where, ": not JSON at byte ", problem.byte, ": ", problem.what, "; expected a list of tools");
  const PyJson* list = &*read;
  std::string path;
  CompletionTools out;
  if (list->as<PyJson::Object>() != nullptr) {
    const PyJson* choice = list->find("tool_choice");
    const bool none = choice && choice->as<std::string>() && *choice->as<std::string>() == "none";
    list = list->find("tools");
    path = "tools";
    if (list == nullptr || list->is_null() || none) return out;
  }
  const PyJson::List* items = list->as<PyJson::List>();
  if (items == nullptr) fail(where, ": ", path.empty() ? "" : path + ": ", "expected a list of tools");
  for (size_t i = 0; i < items->size(); ++i) {
    const PyJson& item = (*items)[i];
    std::string at = concat(path, "[", i, "]");
    if (item.as<PyJson::Object>() == nullptr) fail(where, ": ", at, ": expected an object, a tool");
    const PyJson* function = item.find("function");
    if (function != nullptr) at += ".function";
    if (function == nullptr) function = &item;
    const PyJson* name = function->find("name");
    if (name == nullptr || name->as<std::string>() == nullptr || name->as<std::string>()->empty()) {
      fail(where, ": ", at, ".name: expected the name of the tool, a string");
    }
    const PyJson* schema = function->find("parameters");
    if (schema != nullptr && !schema->is_null() && schema->as<PyJson::Object>() == nullptr) {
      fail(where, ": ", at, ".parameters: expected an object, the JSON schema of the parameters");
    }
    out.tools_.emplace(*name->as<std::string>(), declared(schema));
  }
  return out;
}

const DeclaredTool* CompletionTools::find(std::string_view name) const {
  const auto found = tools_.find(name);
  return found == tools_.end() ? nullptr : &found->second;
}

}  // namespace dsv4
