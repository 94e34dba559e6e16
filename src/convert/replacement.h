// A finished folder takes the place of a model folder that dsv4 made (--overwrite): whenever it dies, one of the two is there whole.
#pragma once

#include <filesystem>
#include <string>

namespace dsv4 {

/// In the folder that is finished, from before it takes the name until the old one is gone.
constexpr const char* kReplacingMark = ".dsv4-replacing";

/// Error unless `folder` is a model folder that dsv4 made, by its dsv4_files.json or what its IR says, and nothing else is in it.
void check_replaceable(const std::filesystem::path& folder);

/// Where the old folder lies for a moment on file systems that cannot exchange two names.
std::filesystem::path aside_path(const std::filesystem::path& target);

/// `partial` gets the name `target`, and the folder that has it goes. WriteError, with everything as it was, when that cannot be. Returns what to tell the user
/// when it is done but the old folder cannot be removed; else nothing.
std::string replace_folder(const std::filesystem::path& partial, const std::filesystem::path& target);

/// What a run that died in replace_folder left is brought to an end where the new folder has its name, else back to where it was before.
void recover_replacement(const std::filesystem::path& partial, const std::filesystem::path& target);

}  // namespace dsv4
