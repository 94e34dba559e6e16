// The ids that end a generation: what generation_config.json says, as transformers and OpenVINO GenAI take it, else config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/config.h"

namespace dsv4 {

/// eos_token_id of the text of a generation_config.json, a number or a list of numbers; config.eos_token_ids where it states none (no field, null, an empty list).
/// Error that names the file, `where`, for text that is not JSON and for what is no id of the vocabulary.
std::vector<int64_t> parse_end_tokens(std::string_view text, const std::string& where, const Config& config);

/// The same of DIRECTORY/generation_config.json; config.eos_token_ids where there is no such file.
std::vector<int64_t> read_end_tokens(const std::filesystem::path& directory, const Config& config);

}  // namespace dsv4
