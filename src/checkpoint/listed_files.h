// dsv4_files.json as it is read: the files of a model folder with their sizes and hashes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/content_hash.h"

namespace dsv4 {

constexpr const char* kFileListName = "dsv4_files.json";

struct ListedFile {
  std::string name;
  uint64_t bytes = 0;
  ContentHash hash;
};

/// Nothing when the folder has no list; Error for one that is damaged.
std::optional<std::vector<ListedFile>> read_file_list(const std::filesystem::path& folder);

/// The entry of a file; nullptr when there is none.
const ListedFile* find_listed(const std::vector<ListedFile>& files, std::string_view name);

/// What is wrong with the contents of a listed file: "has 7 bytes instead of 9", "has other contents: ..."; nothing when they are as listed.
std::optional<std::string> fault_of_size(const ListedFile& file, uint64_t bytes);
std::optional<std::string> fault_of_hash(const ListedFile& file, const ContentHash& hash);

}  // namespace dsv4
