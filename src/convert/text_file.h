// Whole text files of a model folder, as they are written.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace dsv4 {

/// Replaces the file. WriteError when it cannot be written whole.
void write_text(const std::filesystem::path& path, std::string_view text);

/// What was written to the file, or to the names in the directory, survives a loss of power. WriteError when the disk says no.
void sync_to_disk(const std::filesystem::path& path);
/// The same where what was done stands whatever the disk says.
void flush_if_possible(const std::filesystem::path& path);

}  // namespace dsv4
