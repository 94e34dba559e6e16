// What a model folder is, as data: for `dsv4 inspect` and for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "convert/file_list.h"

namespace dsv4 {

/// Whether the folder's IR says that dsv4 made it.
bool made_by_dsv4(const std::filesystem::path& folder);

/// Whether its openvino_model.xml is the CPU program for clients (convert --program cpu), as it states.
bool has_cpu_program(const std::filesystem::path& folder);

struct FolderReport {
  std::string directory;
  std::string model;          ///< "V4-Flash", "V4-Pro" (by their dimensions) or "custom"
  int64_t layers = 0;         ///< that were converted
  std::string weight_format;  ///< as the .xml states it: "int4, asymmetric, groups of 128; ..."
  std::string program;        ///< "portable", or of the CPU program "cpu, activations int8, cache bf16"
  std::string made_by;        ///< "dsv4 0.2.0"
  bool listed = false;        ///< the folder has a dsv4_files.json, and every file is as it says
  std::vector<ListedFile> files;
  uint64_t bytes = 0;  ///< of these
  std::vector<std::string> notices;
};

/// Reads every listed file whole (check_files). Error that names the first one that is missing or is not as it is listed, and for a config.json that is none. A
/// folder without a list, of dsv4 0.1, is reported with a notice.
FolderReport inspect_folder(const std::filesystem::path& folder, const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace dsv4
