// From a converted folder to one of the CPU program for clients over the same weights file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "convert/convert.h"

namespace dsv4 {

struct ProgramFromFolderOptions {
  std::filesystem::path folder;
  std::filesystem::path output;
  ClientProgram program;
  bool overwrite = false;
  std::function<void(const std::string&)> notice;  ///< may be empty
};

struct ProgramFromFolderReport {
  uint64_t bin_bytes = 0;
  uint64_t xml_bytes = 0;
  bool linked = false;  ///< the .bin has a second name; else the output leads to the folder's by a symbolic link
};

/// The output has the folder's files, openvino_model.xml of its own, and no second weights file. Error for a folder that is not as its list says, or cannot be
/// built from.
ProgramFromFolderReport program_from_folder(const ProgramFromFolderOptions& options);

}  // namespace dsv4
