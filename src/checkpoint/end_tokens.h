// The ids that end a generation: what generation_config.json says, as transformers and OpenVINO GenAI take it, else config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "checkpoint/config.h"

namespace dsv4 {

/// eos_token_id of DIRECTORY/generation_config.json, a number or a list of numbers; config.eos_token_ids where there is no such file, or it states none (no field,
/// null, an empty list). Error that names the file for text that is not JSON and for what is no id of the vocabulary.
std::vector<int64_t> read_end_tokens(const std::filesystem::path& directory, const Config& config);

}  // namespace dsv4
