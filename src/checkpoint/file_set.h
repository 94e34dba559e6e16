// The files of a checkpoint directory: one model.safetensors, or the shards that model.safetensors.index.json lists.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace dsv4 {

struct FileSet {
  std::vector<std::unique_ptr<SafetensorsFile>> files;  ///< in the order of their names
  std::set<std::string> left_out;    ///< mtp.* tensors of the files that the index does not list: not there, as for others' readers
  std::vector<std::string> notices;  ///< e.g. shards in the directory that the index does not list: they are not read
};

/// Opens every file and checks it against the index: shards missing, tensors that are not in the shard that the index gives for them,
/// tensors in two shards, tensors that the index does not list (mtp.* may be left out of it). With an index the index decides, also where a model.safetensors lies next
/// to it.
FileSet open_file_set(const std::filesystem::path& directory);

}  // namespace dsv4
