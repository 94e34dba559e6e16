// What a model folder holds beside openvino_model.{xml,bin}: the files by which OpenVINO GenAI, optimum-intel and people know the model.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "convert/convert.h"
#include "convert/small_files.h"
#include "text/chat_message.h"

namespace dsv4 {

/// A small file of a model folder, in memory.
struct FolderFile {
  std::string name;
  std::string bytes;
};

/// config.json (with auto_map) and configuration_deepseek_v4.py, generation_config.json, openvino_config.json, chat_template.jinja unless the
/// checkpoint brings a chat template of its own, its tokenizer files and licence. tokenizer_config.json has its special tokens as plain text,
/// which is what GenAI can read. The template has the release's words. Error for a checkpoint file that is not the JSON it should be.
std::vector<FolderFile> folder_files(const ConvertOptions& options, const SmallFiles& files, const Config& config, ChatRelease release);

/// The version of transformers that wrote the checkpoint's config.json; empty when it does not say.
std::string transformers_version(const std::string& config_text);

}  // namespace dsv4
