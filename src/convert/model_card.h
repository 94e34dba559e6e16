// README.md of a model folder: what was converted, how, how large it is, how to run it, and what `dsv4 verify` measured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/convert.h"
#include "convert/small_files.h"

namespace dsv4 {

struct FolderFileSize {
  std::string name;
  uint64_t bytes = 0;
};

/// The text of README.md. `small_files`: the checkpoint's; `files`: the folder's other files but dsv4_files.json, in any order.
std::string model_card(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config, const ConvertReport& report,
                       const SmallFiles& small_files, std::vector<FolderFileSize> files);

/// The card of a folder with the CPU program (ClientProgram) over the same weights: how it is run is said anew. A card without that section stays as it is.
std::string card_of_program(std::string card, const ClientProgram& program);

/// Puts `text` (Markdown) into the card's section "Verification" in place of what is there, and the new hash into dsv4_files.json. Error when the
/// folder has no README.md or the section's two marks are gone from it.
void set_card_verification(const std::filesystem::path& folder, const std::string& text);

}  // namespace dsv4
