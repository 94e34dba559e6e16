// What lies where a checkpoint or a model folder is expected: told from names and first bytes, before anything is parsed.
#pragma once

#include <filesystem>

namespace dsv4 {

/// What a command expects at a path.
enum class Expected { kCheckpoint, kModelFolder, kEither };

/// A directory with an openvino_model.xml or a dsv4_files.json, and no weights of a checkpoint.
bool is_model_folder(const std::filesystem::path& path);

/// A directory with a model.safetensors or its index.
bool is_checkpoint(const std::filesystem::path& path);

/// Error, one line that says what `path` is and what to do, for everything that is known not to be what is expected: a file, nothing, the name of a repository, a
/// hub's cache, GGUF, pickles, adapters, shards for GPUs, a model folder in place of a checkpoint and the reverse. What may be right passes.
void check_form(const std::filesystem::path& path, Expected expected);

}  // namespace dsv4
