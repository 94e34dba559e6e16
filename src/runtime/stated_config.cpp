// rt_info dsv4/config read and compared field by field.
#include "runtime/stated_config.h"

#include <map>
#include <vector>

#include "checkpoint/model_fields.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// Fields by name; empty for an IR that states none.
std::map<std::string, std::string> stated_fields(const ov::Model& ir, const std::filesystem::path& folder) {
  std::map<std::string, std::string> fields;
  if (!ir.has_rt_info("dsv4", "config")) return fields;
  try {
    for (const auto& [name, value] : ir.get_rt_info<ov::AnyMap>("dsv4", "config")) fields.emplace(name, value.as<std::string>());
  } catch (const ov::Exception&) {
    fail(path_text(folder),
         ": openvino_model.xml does not state the config in the way of dsv4 (rt_info dsv4/config); convert the checkpoint again");
  }
  return fields;
}

std::string field_text(const ModelField& field) { return field.also.empty() ? field.name : concat(field.name, " (or ", field.also, ")"); }

}  // namespace

std::string check_stated_config(const Config& config, const ov::Model& ir, const std::filesystem::path& folder) {
  std::map<std::string, std::string> stated = stated_fields(ir, folder);
  if (stated.empty()) {
    return concat(path_text(folder),
                  ": made before dsv4 0.2.0: openvino_model.xml does not state the config that it was made from, so config.json is ",
                  "believed; convert the checkpoint again to have it checked");
  }
  std::vector<std::string> unstated, others;
  std::string first;
  for (const ModelField& field : model_fields(config)) {
    const auto found = stated.find(field.name);
    if (found == stated.end()) {
      unstated.push_back(field.name);
      continue;
    }
    if (found->second != field.value) {
      if (first.empty()) {
        first = concat(field_text(field), " is ", excerpt(field.value), ", but openvino_model.xml was made with ", excerpt(found->second));
      } else {
        others.push_back(field.name);
      }
    }
    stated.erase(found);
  }
  if (!first.empty()) {
    fail(path_text(folder / "config.json"), ": ", first, others.empty() ? "" : concat("; so do ", joined(others)),
         "; put back what the model was made with, or convert the checkpoint again with this config");
  }
  if (!stated.empty()) {
    fail(path_text(folder), ": openvino_model.xml states the config field ", excerpt(stated.begin()->first), " = ",
         excerpt(stated.begin()->second),
         ", which this dsv4 does not know; use the dsv4 that made the folder, or convert the checkpoint again");
  }
  if (unstated.empty()) return {};
  return concat(path_text(folder), ": openvino_model.xml does not state the config ", unstated.size() == 1 ? "field " : "fields ",
                joined(unstated), ", so config.json is believed; convert the checkpoint again to have it checked");
}

}  // namespace dsv4
