// README.md of a model folder: what was converted, how, how large it is, how to run it, and what `dsv4 verify` measured.
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/checkpoint.h"
#include "convert/convert.h"

namespace dsv4 {

/// Writes README.md. The folder's other files are to be there: the card lists their sizes.
void write_model_card(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config, const ConvertReport& report,
                      const std::filesystem::path& directory);

/// Puts `text` (Markdown) into the card's section "Verification" in place of what is there. Error when the folder has no README.md or the section's two
/// marks are gone from it.
void set_card_verification(const std::filesystem::path& folder, const std::string& text);

}  // namespace dsv4
