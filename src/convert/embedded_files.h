// Files of a model folder that are the same for every model: src/convert/folder_files, inside the program.
#pragma once

#include <string_view>

namespace dsv4 {

/// chat_template.jinja: DeepSeek-V4's chat format in the words of its original release, for transformers and OpenVINO GenAI (docs/chat-template.md).
std::string_view chat_template();

/// configuration_deepseek_v4.py: the config class that config.json names for a transformers without deepseek_v4.
std::string_view configuration_script();

}  // namespace dsv4
