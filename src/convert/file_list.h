// dsv4_files.json as it is written, and a folder held against it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/listed_files.h"

namespace dsv4 {

/// {"files": {NAME: {"bytes": N, "xxh3_128": HEX}, ...}}, by name: the same files give the same text. The .bin's entry also has
/// "graph_constants": {"offset": N, "bytes": N, "xxh3_128": HEX}.
std::string file_list_text(std::vector<ListedFile> files);

/// Puts what `name` holds now into the folder's list, where there is one that names it.
void list_again(const std::filesystem::path& folder, const std::string& name, std::string_view bytes);

/// A file that is not as it is listed.
struct FileFault {
  std::string name;
  std::string text;  ///< "is missing", ...
};

/// Reads the listed files whole, at the speed of their disk, and returns those that are not as they are listed. `progress` may be empty.
std::vector<FileFault> check_files(const std::filesystem::path& folder, const std::vector<ListedFile>& files,
                                   const std::function<void(uint64_t done, uint64_t total)>& progress);

/// Regular files of the folder that are not in the list, by name; the list itself is not one of them.
std::vector<std::string> unlisted_files(const std::filesystem::path& folder, const std::vector<ListedFile>& files);

}  // namespace dsv4
