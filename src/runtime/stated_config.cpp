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
    fail(folder.string(),
         ": openvino_model.xml does not state the config in the way of dsv4 (rt_info dsv4/config); convert the checkpoint again");
  }
  return fields;
}

std::string field_text(const ModelField& field) { return field.also.empty() ? field.name : concat(field.name, " (or ", field.also, ")"); }

/// Of a list of a value a layer only as much as a line holds.
std::string shortened(const std::string& value) { return value.size() <= 120 ? value : value.substr(0, 117) + "..."; }

}  // namespace

std::string check_stated_config(const Config& config, const ov::Model& ir, const std::filesystem::path& folder) {
  std::map<std::string, std::string> stated = stated_fields(ir, folder);
  if (stated.empty()) {
    return concat(folder.string(),
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
        first =
            concat(field_text(field), " is ", shortened(field.value), ", but openvino_model.xml was made with ", shortened(found->second));
      } else {
        others.push_back(field.name);
      }
    }
    stated.erase(found);
  }
  if (!first.empty()) {
    fail((folder / "config.json").string(), ": ", first, others.empty() ? "" : concat("; so do ", joined(others)),
         "; put back what the model was made with, or convert the checkpoint again with this config");
  }
  if (!stated.empty()) {
    fail(folder.string(), ": openvino_model.xml states the config field ", stated.begin()->first, " = ", shortened(stated.begin()->second),
         ", which this dsv4 does not know; use the dsv4 that made the folder, or convert the checkpoint again");
  }
  if (unstated.empty()) return {};
  return concat(folder.string(), ": openvino_model.xml does not state the config ", unstated.size() == 1 ? "field " : "fields ",
                joined(unstated), ", so config.json is believed; convert the checkpoint again to have it checked");
}

}  // namespace dsv4
