// A synthetic checkpoint in DeepSeek's published format: the same bytes for the same config and seed on every machine, streamed to disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dsv4 {

struct SynthesizeOptions {
  std::string preset_or_config;  ///< one of preset_names() or the path of a config.json
  std::filesystem::path output;  ///< directory to create; appears under this name only when complete
  int64_t layers = -1;           ///< cut to the first N layers; -1: all
  uint64_t seed = 0;
  bool sparse = false;       ///< weights and the scales of experts are holes in their files: zeros that take no room
  uint64_t shard_bytes = 0;  ///< of a shard, at most; 0: one file, or the shards of the releases (checkpoint/shard_plan.h)
  std::function<void(uint64_t done, uint64_t total)> progress = {};  ///< bytes; may be empty
  std::function<void(const std::string&)> notice = {};               ///< lines for the user; may be empty
};

/// Writes config.json, generation_config.json, model*.safetensors and the index, and a byte-level tokenizer where the vocabulary is large enough for one.
/// Holds one tensor at a time.
void synthesize(const SynthesizeOptions& options);

/// "toy" and the releases.
std::vector<std::string> preset_names();

/// The config.json text of a preset, e.g. "toy"; Error for an unknown one.
std::string preset_config(const std::string& preset);

}  // namespace dsv4
