// What a model folder holds beside openvino_model.{xml,bin}: the files by which OpenVINO GenAI, optimum-intel and people know the model.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/checkpoint.h"
#include "convert/convert.h"

namespace dsv4 {

/// Writes config.json (with auto_map) and configuration_deepseek_v4.py, generation_config.json, openvino_config.json, chat_template.jinja unless the
/// checkpoint brings a chat template of its own, and carries on tokenizer files and licence. tokenizer_config.json has its special tokens as plain text,
/// which is what GenAI can read. Error for a checkpoint file that is not the JSON it should be.
void write_folder_files(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config,
                        const std::filesystem::path& directory);

/// The version of transformers that wrote the checkpoint's config.json; empty when it does not say.
std::string transformers_version(const std::filesystem::path& checkpoint);

}  // namespace dsv4
