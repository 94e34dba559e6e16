// Which licence and which base model a card names.
#include "convert/hub_metadata.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "checkpoint/inspect.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// A line of YAML; text in double quotes is the same in JSON.
std::string yaml_line(std::string_view key, const std::string& value, std::string_view comment = "") {
  return concat(key, ": ", json_text(value), comment.empty() ? "" : "  # ", comment, "\n");
}

std::string license_lines(const SmallFiles& files) {
  for (const char* name : {"LICENSE", "LICENSE.md", "LICENSE.txt"}) {
    const std::string* text = files.find(name);
    if (!text) continue;
    const auto says = [&](std::string_view words) { return text->find(words) != std::string::npos; };
    if (says("MIT License") || says("Permission is hereby granted, free of charge, to any person obtaining a copy"))
      return "license: mit\n";
    if (says("Apache License") && says("Version 2.0")) return "license: apache-2.0\n";
    return concat("license: other\nlicense_name: license-of-the-checkpoint\nlicense_link: ", name, "\n");
  }
  return "license: unknown  # the checkpoint has no licence file; enter the licence of the model before an upload\n";
}

bool is_hub_part(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
  });
}

/// "ORG/NAME" where the text is that.
std::optional<std::string> hub_id(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos || !is_hub_part(text.substr(0, slash)) || !is_hub_part(text.substr(slash + 1))) return std::nullopt;
  return std::string(text);
}

/// Of a directory in a hub cache: .../models--ORG--NAME/snapshots/REVISION.
std::optional<std::string> id_of_cache(const std::filesystem::path& directory) {
  constexpr std::string_view kModels = "models--";
  for (const std::filesystem::path& part : directory) {
    std::string name = part.string();
    const size_t split = name.starts_with(kModels) ? name.find("--", kModels.size()) : std::string::npos;
    if (split != std::string::npos) return hub_id(name.replace(split, 2, "/").substr(kModels.size()));
  }
  return std::nullopt;
}

std::optional<std::string> id_of_config(const std::string& config) {
  const nlohmann::ordered_json json = parse_json(config);
  const auto name = json.find("_name_or_path");
  return name != json.end() && name->is_string() ? hub_id(name->get_ref<const std::string&>()) : std::nullopt;
}

std::string base_model_line(const Checkpoint& checkpoint) {
  constexpr std::string_view kOrganisation = "deepseek-ai/", kRelease = "DeepSeek-V4-";
  const std::filesystem::path directory = std::filesystem::absolute(checkpoint.directory()).lexically_normal();
  if (const auto id = id_of_cache(directory)) return yaml_line("base_model", *id);
  if (const auto id = id_of_config(checkpoint.config_text())) return yaml_line("base_model", *id);
  const std::string name = path_text((directory.has_filename() ? directory : directory.parent_path()).filename());
  if (name.starts_with(kRelease) && is_hub_part(name)) return yaml_line("base_model", concat(kOrganisation, name));
  const std::string model = model_name(checkpoint.config());
  if (model == "custom") return yaml_line("base_model", name, "the checkpoint's folder; enter its ORG/NAME on the hub before an upload");
  return yaml_line("base_model", concat(kOrganisation, "DeepSeek-", model),
                   "by its dimensions; correct it if this was made from another model");
}

}  // namespace

std::string hub_metadata(const ConvertOptions& options, const Checkpoint& checkpoint, const SmallFiles& files) {
  return concat("---\n", license_lines(files), base_model_line(checkpoint),
                "base_model_relation: quantized\nlibrary_name: openvino\npipeline_tag: text-generation\n"
                "tags:\n- openvino\n- openvino-export\n- deepseek_v4\n- dsv4\n- ",
                weight_format_name(options.compression.format), "\n---\n\n");
}

}  // namespace dsv4
