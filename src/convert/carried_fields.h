// Which fields of a checkpoint's JSON files a model folder carries on: those that are known. Whoever opens the folder must not be led by others to code (auto_map,
// custom_pipelines) or to places of the author's.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// Takes the fields that are not known out of an object of config.json, generation_config.json, tokenizer_config.json or special_tokens_map.json, and returns their
/// names. Error for another `file`.
std::vector<std::string> keep_known_fields(std::string_view file, nlohmann::ordered_json& object);

}  // namespace dsv4
