// dsv4_files.json as it is read, and a file held against it: the files of a model folder with their sizes and hashes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/content_hash.h"

namespace dsv4 {

constexpr const char* kFileListName = "dsv4_files.json";
constexpr const char* kModelXml = "openvino_model.xml";
constexpr const char* kModelBin = "openvino_model.bin";

/// Bytes of a listed file with a hash of their own.
struct ListedPart {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  ContentHash hash;
};

struct ListedFile {
  std::string name;
  uint64_t bytes = 0;
  ContentHash hash;
  /// Of the .bin: the constants of the graph (shapes, axes, tables), which are no weights. Nothing in folders made before they were listed.
  std::optional<ListedPart> graph_constants = {};
};

/// Nothing when the folder has no list; Error for one that is damaged.
std::optional<std::vector<ListedFile>> read_file_list(const std::filesystem::path& folder);

/// The entry of a file; nullptr when there is none.
const ListedFile* find_listed(const std::vector<ListedFile>& files, std::string_view name);

/// What is wrong with the contents of a listed file: "has 7 bytes instead of 9", "has other contents: ..."; nothing when they are as listed.
std::optional<std::string> fault_of_size(const ListedFile& file, uint64_t bytes);
std::optional<std::string> fault_of_hash(const ListedFile& file, const ContentHash& hash);

/// How much of a file is read.
enum class Extent {
  kQuick,  ///< its size and its graph constants, a moment however large it is
  kWhole,
};

/// What is wrong with a file: "is missing", "is not a regular file", ..., or what the two above say; nothing when it is as listed. `listed` may be null: then it only
/// has to be there. `passed` as of hash_file_range.
std::optional<std::string> fault_of_file(const std::filesystem::path& path, const ListedFile* listed, Extent extent,
                                         const std::function<void(uint64_t bytes)>& passed);

}  // namespace dsv4
