// Whole text files of a checkpoint and of a model folder.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace dsv4 {

/// Error when the file cannot be read.
std::string read_text(const std::filesystem::path& path);

/// Replaces the file. Error when it cannot be written whole.
void write_text(const std::filesystem::path& path, std::string_view text);

/// A JSON object with its fields in the order of the file; Error as parse_json_object, and for more than 16 MiB.
nlohmann::ordered_json read_json_object(const std::filesystem::path& path);

}  // namespace dsv4
