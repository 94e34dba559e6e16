// The IR of a model folder.
#pragma once

#include <filesystem>
#include <memory>

#include "openvino/core/model.hpp"

namespace dsv4 {

/// The IR of a folder that `dsv4 convert` wrote, constants mapped, not compiled. Error when a file is missing, is no IR, or is not the one
/// that the folder's dsv4_files.json lists: the .xml by its hash, the .bin by its size and the hash of its graph constants, which takes a
/// moment.
std::shared_ptr<ov::Model> read_ir(const std::filesystem::path& folder);

}  // namespace dsv4
