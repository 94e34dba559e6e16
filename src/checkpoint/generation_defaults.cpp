// What is known of generation_config.json.
#include "checkpoint/generation_defaults.h"

#include <limits>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

constexpr JsonFile kGenerationConfigFile = {"generation config", "the generation_config.json of a model", 1u << 20};

std::optional<double> number(const Fields& fields, const char* key, double low, double high) {
  const nlohmann::json* value = fields.find(key);
  return value == nullptr ? std::nullopt : std::optional(fields.as_number(key, *value, low, high));
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "generation_config.json";
  const std::optional<std::string> text = read_small_file_if_there(file, kGenerationConfigFile);
  if (!text) return {};
  const std::string where = path_text(file);
  const nlohmann::json document = parse_json_object(*text, where, kGenerationConfigFile);
  const Fields fields(document, where);
  GenerationDefaults defaults;
  defaults.temperature = number(fields, "temperature", 0.0, 100.0);
  defaults.top_p = number(fields, "top_p", std::numeric_limits<double>::min(), 1.0);
  if (const nlohmann::json* top_k = fields.find("top_k")) {
    defaults.top_k = fields.as_integer("top_k", *top_k, 0, std::numeric_limits<int32_t>::max());
  }
  defaults.min_p = number(fields, "min_p", 0.0, 1.0);
  defaults.repetition_penalty = number(fields, "repetition_penalty", 0.001, 1000.0);
  const nlohmann::json* sample = fields.find("do_sample");
  if (sample != nullptr && sample->is_boolean() && !sample->get<bool>()) defaults.temperature = 0.0;
  return defaults;
}

}  // namespace dsv4
