// Small files, read whole: the one place that opens what is neither a shard nor the weights of a model folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace dsv4 {

/// What a kind of small file is called in messages, and how large it may be.
struct SmallFileKind {
  const char* noun;      ///< "config"
  const char* expected;  ///< "the config.json of a DeepSeek-V4 checkpoint"
  size_t max_bytes;
};

/// The bytes of a file of a checkpoint or of a model folder, read once. Error that names it: none there, no regular file (nothing waits for a FIFO or reads from
/// a device), more bytes than `kind` allows, not readable, or a link that leads out of its directory. Who publishes a directory must not choose which files of
/// its reader are opened, or carried on into a model folder. Links into the blobs of a Hugging Face cache are followed, and so is one that the directory itself is.
std::string read_small_file(const std::filesystem::path& file, const SmallFileKind& kind);

/// The same; nothing where the directory has no entry of that name. A link to nothing is an entry: a download that is not complete.
std::optional<std::string> read_small_file_if_there(const std::filesystem::path& file, const SmallFileKind& kind);

/// The same of a file that the user names: it may be a link to anywhere.
std::string read_named_file(const std::filesystem::path& file, const SmallFileKind& kind);

}  // namespace dsv4
