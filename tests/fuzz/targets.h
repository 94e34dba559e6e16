// What the fuzz targets run, one function each: any bytes must end in a parsed result that keeps its promises, or in dsv4::Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shard_index.h"
#include "checkpoint/tensor_table.h"
#include "dsv4/error.h"

namespace dsv4::fuzz {

/// A broken promise: escapes the target, so that libFuzzer and the replay test report it.
inline void require(bool condition, const char* promise) {
  if (!condition) throw std::logic_error(promise);
}

/// A message is one line that begins with the file's name.
inline void require_one_line(const Error& error, std::string_view file) {
  const std::string_view line = error.what();
  require(line.starts_with(file), "the message names the file");
  require(line.size() < 2000, "the message is short");
  for (const char c : line) require(static_cast<unsigned char>(c) >= 0x20, "the message is one line");
}

inline std::string_view text_of(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Each function tells whether the input was accepted.
inline bool header_as_file(std::span<const uint8_t> file) {
  try {
    const SafetensorsHeader header = parse_safetensors_header(std::as_bytes(file), file.size(), "F");
    uint64_t bytes = 0;
    for (const auto& [name, entry] : header.tensors) {
      require(entry.begin <= entry.end && entry.end <= file.size() - header.data_offset, "tensors lie inside the file");
      require(entry.dtype == DType::kUnknown ||
                  static_cast<uint64_t>(element_count(entry.shape)) * dtype_bits(entry.dtype) == 8 * (entry.end - entry.begin),
              "sizes agree");
      require(!header.dtype_text(name).empty() || entry.dtype == DType::kUnknown, "every type has a name");
      bytes += entry.end - entry.begin;
    }
    require(bytes == file.size() - header.data_offset, "every byte belongs to one tensor");
    return true;
  } catch (const Error& error) {
    require_one_line(error, "F: ");
    return false;
  }
}

/// The same with a right length field in front and `data_bytes` behind, which random bytes seldom have.
inline bool header_as_text(std::span<const uint8_t> text, size_t data_bytes) {
  std::vector<uint8_t> file(8);
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<uint8_t>(static_cast<uint64_t>(text.size()) >> (8 * i));
  file.insert(file.end(), text.begin(), text.end());
  file.resize(file.size() + data_bytes);
  return header_as_file(file);
}

inline bool index(std::span<const uint8_t> text) {
  try {
    const ShardIndex index = parse_index(text_of(text), "I");
    require(!index.tensors.empty() && !index.shards.empty(), "an index lists something");
    for (const auto& [name, shard] : index.tensors) require(shard < index.shards.size(), "shards are numbered");
    for (size_t i = 0; i < index.shards.size(); ++i) {
      const std::filesystem::path path(index.shards[i]);
      require(path.filename() == path && path != ".." && path.extension() == ".safetensors", "shards are plain files");
      require(i == 0 || index.shards[i - 1] < index.shards[i], "shards are sorted, each once");
    }
    return true;
  } catch (const Error& error) {
    require_one_line(error, "I: ");
    return false;
  }
}

inline bool config(std::span<const uint8_t> text) {
  try {
    const Config config = parse_config(text_of(text), "C");
    require(static_cast<int64_t>(config.layers.size()) == config.num_hidden_layers, "a config describes every layer");
    // The table of a large config takes seconds; a small one finds the same mistakes.
    if ((config.num_hidden_layers + config.num_nextn_predict_layers) * config.n_routed_experts > 2048) return true;
    for (const TensorSpec& spec : tensor_table(config)) {
      for (const ShardSpec& stored : shard_tensors(config, spec)) {
        int64_t bytes = static_cast<int64_t>(dtype_size(stored.dtype));
        for (const int64_t dim : stored.shape) require(dim > 0 && !__builtin_mul_overflow(bytes, dim, &bytes), "sizes fit 63 bits");
      }
    }
    return true;
  } catch (const Error& error) {
    require_one_line(error, "C: ");
    return false;
  }
}

}  // namespace dsv4::fuzz
