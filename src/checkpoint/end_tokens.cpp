// eos_token_id of generation_config.json.
#include "checkpoint/end_tokens.h"

#include <nlohmann/json.hpp>

#include "checkpoint/json_fields.h"
#include "checkpoint/quote.h"

namespace dsv4 {

namespace {

constexpr JsonFile kGenerationConfigFile = {"generation config", "the generation_config.json of a model", 1u << 20};

}  // namespace

std::vector<int64_t> parse_end_tokens(std::string_view text, const std::string& where, const Config& config) {
  const nlohmann::json document = parse_json_object(text, where, kGenerationConfigFile);
  const Fields fields(document, where);
  const nlohmann::json* eos = fields.find("eos_token_id");
  if (eos == nullptr) return config.eos_token_ids;
  const int64_t last = config.vocab_size - 1;
  if (!eos->is_array()) return {fields.as_integer("eos_token_id", *eos, 0, last)};
  std::vector<int64_t> ids;
  for (size_t i = 0; i < eos->size(); ++i) ids.push_back(fields.as_integer(concat("eos_token_id[", i, "]"), (*eos)[i], 0, last));
  return ids.empty() ? config.eos_token_ids : ids;
}

std::vector<int64_t> read_end_tokens(const std::filesystem::path& directory, const Config& config) {
  const std::filesystem::path file = directory / "generation_config.json";
  const std::optional<std::string> text = read_small_file_if_there(file, kGenerationConfigFile);
  return text ? parse_end_tokens(*text, path_text(file), config) : config.eos_token_ids;
}

}  // namespace dsv4
