// The small files of a checkpoint, read once: everything that a folder takes from them is of one moment, and what is wrong with one is known before the weights.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace dsv4 {

class SmallFiles {
 public:
  /// Reads those that are there; config.json is the text that the checkpoint was opened with. Error that names a file that read_small_file
  /// (checkpoint/small_file.h) does not take.
  explicit SmallFiles(const Checkpoint& checkpoint);

  /// nullptr when the checkpoint does not have it.
  const std::string* find(std::string_view name) const;
  const std::string& config() const { return *find("config.json"); }
  const std::filesystem::path& directory() const { return directory_; }
  /// By name.
  const std::map<std::string, std::string, std::less<>>& all() const { return files_; }

 private:
  std::filesystem::path directory_;
  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace dsv4
