// Reading a checkpoint's small files.
#include "convert/small_files.h"

#include <optional>
#include <utility>

#include "checkpoint/small_file.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

struct SmallFile {
  const char* name;
  SmallFileKind kind;
};

constexpr SmallFile kSmallFiles[] = {
    {"generation_config.json", {"generation_config.json", "the generation_config.json of a checkpoint", 16u << 20}},
    {"tokenizer_config.json", {"tokenizer_config.json", "the tokenizer_config.json of a checkpoint", 16u << 20}},
    {"tokenizer.json", {"tokenizer.json", "the tokenizer.json of a byte-level BPE tokenizer", 32u << 20}},
    {"special_tokens_map.json", {"special_tokens_map.json", "the special_tokens_map.json of a checkpoint", 4u << 20}},
    {"chat_template.jinja", {"chat template", "a Jinja template", 4u << 20}},
    {"LICENSE", {"licence", "the text of a licence", 4u << 20}},
    {"LICENSE.md", {"licence", "the text of a licence", 4u << 20}},
    {"LICENSE.txt", {"licence", "the text of a licence", 4u << 20}},
};

}  // namespace

SmallFiles::SmallFiles(const Checkpoint& checkpoint) : directory_(checkpoint.directory()) {
  files_["config.json"] = checkpoint.config_text();
  for (const SmallFile& file : kSmallFiles) {
    if (std::optional<std::string> text = read_small_file_if_there(directory_ / file.name, file.kind)) files_[file.name] = std::move(*text);
  }
}

const std::string* SmallFiles::find(std::string_view name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

}  // namespace dsv4
