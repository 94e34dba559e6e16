// A synthetic checkpoint in DeepSeek's published format: the same bytes for the same config and seed on every machine, streamed to disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace dsv4 {

struct SynthesizeOptions {
  std::string preset_or_config;  ///< "toy", "v4-flash", "v4-pro" or the path of a config.json
  std::filesystem::path output;  ///< directory to create; appears under this name only when complete
  int64_t layers = -1;           ///< cut to the first N layers; -1: all
  uint64_t seed = 0;
  uint64_t shard_bytes = 4ull << 30;                                 ///< a new shard begins when the current one would grow past this
  std::function<void(uint64_t done, uint64_t total)> progress = {};  ///< bytes; may be empty
  std::function<void(const std::string&)> notice = {};               ///< lines for the user; may be empty
};

/// Writes config.json, generation_config.json, model*.safetensors and the index, and a byte-level tokenizer where the vocabulary is large enough for one.
/// Holds one tensor at a time.
void synthesize(const SynthesizeOptions& options);

/// The config.json text of a preset, e.g. "toy"; Error for an unknown one.
std::string preset_config(const std::string& preset);

}  // namespace dsv4
