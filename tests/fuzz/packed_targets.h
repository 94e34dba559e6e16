// What the fuzz target of compressed-tensors checkpoints runs: a quantization_config and the tensors of one expert's matrix, read as a whole checkpoint.
#pragma once

#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "fuzz/targets.h"

namespace dsv4::fuzz {

/// A directory of this process, gone with it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dsv4_fuzz_XXXXXX").string();
    require(mkdtemp(pattern.data()) != nullptr, "there is a place for a checkpoint");
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  void write(const char* name, const std::string& bytes) const {
    std::ofstream out(path_ / name, std::ios::binary);
    out << bytes;
    require(static_cast<bool>(out.flush()), "the checkpoint can be written");
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

constexpr const char* kPackedModule = "layers.0.ffn.experts.0.w1";  // [32,64]

/// A model of one layer and one expert.
inline std::string packed_config(std::string_view quantization) {
  return R"({"model_type":"deepseek_v4","vocab_size":2,"hidden_size":64,"num_hidden_layers":1,"num_attention_heads":1,"head_dim":4,"qk_rope_head_dim":2,
             "q_lora_rank":2,"o_groups":1,"o_lora_rank":2,"sliding_window":2,"compress_ratios":[0],"index_n_heads":1,"index_head_dim":4,"index_topk":1,
             "compress_rope_theta":160000,"max_position_embeddings":16,"n_routed_experts":1,"num_experts_per_tok":1,"moe_intermediate_size":32,
             "num_hash_layers":0,"routed_scaling_factor":1,"swiglu_limit":10,"hc_mult":1,"quantization_config":)" +
         std::string(quantization) + "}";
}

/// Tensors put together as a safetensors file.
struct SafetensorsText {
  std::string header, data;

  void add(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& bytes) {
    header += (header.empty() ? "{\"" : ",\"") + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
              std::to_string(data.size()) + "," + std::to_string(data.size() + bytes.size()) + "]}";
    data += bytes;
  }

  std::string bytes() const {
    std::string file(8, '\0');
    for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>((header.size() + 1) >> (8 * i));
    return file + header + "}" + data;
  }
};

/// Everything but the module that is packed, as zeros.
inline const SafetensorsText& plain_tensors() {
  static const SafetensorsText text = [] {
    SafetensorsText all;
    const Config config = parse_config(packed_config("null"), "C");
    for (const TensorSpec& spec : tensor_table(config)) {
      if (spec.name.starts_with(kPackedModule)) continue;
      for (const ShardSpec& stored : shard_tensors(config, spec)) {
        std::string shape = shape_string(stored.shape);
        all.add(stored.name, std::string(dtype_name(stored.dtype)), shape.substr(1, shape.size() - 2),
                std::string(static_cast<size_t>(element_count(stored.shape)) * dtype_size(stored.dtype), '\0'));
      }
    }
    return all;
  }();
  return text;
}

/// "LEAF DTYPE BYTES FILL... dims": a tensor of the module, whose data are the two bytes FILL again and again; false for another line.
inline bool add_tensor(const std::string& line, SafetensorsText& text) {
  std::istringstream words(line);
  std::string leaf, dtype, shape;
  unsigned bytes = 0, first = 0, second = 0;
  int64_t dim = 0;
  if (!(words >> leaf >> dtype >> bytes >> first >> second) || bytes > 8192) return false;
  const auto plain = [](const std::string& word) {
    return word.size() < 40 &&
           word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos;
  };
  if (!plain(leaf) || !plain(dtype)) return false;
  while (words >> dim) shape += (shape.empty() ? "" : ",") + std::to_string(dim);
  std::string data(bytes, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i % 2 == 0 ? first : second);
  text.add(std::string(kPackedModule) + "." + leaf, dtype, shape, data);
  return true;
}

/// The first line: quantization_config. The others: tensors. Whatever is accepted is read.
inline bool compressed_tensors(std::span<const uint8_t> bytes) {
  static const ScratchFolder folder;
  std::istringstream lines{std::string(text_of(bytes))};
  std::string quantization, line;
  std::getline(lines, quantization);
  SafetensorsText text = plain_tensors();
  while (std::getline(lines, line)) add_tensor(line, text);
  folder.write("config.json", packed_config(quantization));
  folder.write("model.safetensors", text.bytes());
  try {
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    const std::string name = std::string(kPackedModule) + ".weight";
    constexpr int64_t kRows = 32, kColumns = 64;
    std::vector<float> whole = checkpoint.read(name), row(kColumns, std::nanf(""));
    require(whole.size() == kRows * kColumns, "a matrix is read whole");
    checkpoint.read_rows(name, kRows - 1, kRows, row.data());
    require(std::memcmp(row.data(), whole.data() + (kRows - 1) * kColumns, kColumns * sizeof(float)) == 0, "a row is read as in the whole");
    const Encoding encoding = checkpoint.encoding(name);
    if (encoding == Encoding::kFp4 || encoding == Encoding::kNvfp4 || encoding == Encoding::kInt4) {
      for (const float value : whole) require(!std::isnan(value), "codes and finite scales make numbers");
    }
    return true;
  } catch (const Error& error) {
    require_one_line(error, folder.path().string());
    return false;
  }
}

}  // namespace dsv4::fuzz
