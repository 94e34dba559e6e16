// A checkpoint of a few kilobytes with random weights in DeepSeek's published form, to be rewritten and damaged by tests.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_table.h"

namespace dsv4::test {

/// Two layers: a hash-routed one with the window only, and one with compressor and indexer. `changes` are merged in.
inline std::string tiny_config(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json config = nlohmann::json::parse(R"({
    "model_type": "deepseek_v4", "architectures": ["DeepseekV4ForCausalLM"], "vocab_size": 24, "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "qk_rope_head_dim": 4, "q_lora_rank": 32, "o_groups": 2,
    "o_lora_rank": 16, "sliding_window": 8, "compress_ratios": [0, 4], "index_n_heads": 2, "index_head_dim": 16, "index_topk": 4,
    "rope_theta": 10000, "compress_rope_theta": 160000, "max_position_embeddings": 1024, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "moe_intermediate_size": 32, "scoring_func": "sqrtsoftplus", "topk_method": "noaux_tc", "norm_topk_prob": true,
    "routed_scaling_factor": 1.5, "num_hash_layers": 1, "swiglu_limit": 10.0, "hc_mult": 4, "hc_sinkhorn_iters": 4, "hc_eps": 1e-6,
    "rms_norm_eps": 1e-6, "num_nextn_predict_layers": 0, "hidden_act": "silu", "attention_bias": false, "tie_word_embeddings": false,
    "bos_token_id": 0, "eos_token_id": 1, "expert_dtype": "fp4",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0", "activation_scheme": "dynamic",
                            "weight_block_size": [128, 128]}})");
  config.merge_patch(changes);
  return config.dump();
}

/// The same bits on every machine: the engine's output is in the standard, distributions' is not.
class RandomBytes {
 public:
  explicit RandomBytes(uint64_t seed) : engine_(seed) {}

  uint64_t below(uint64_t limit) { return engine_() % limit; }

  /// Finite numbers of the dtype, scales near 1, ids of experts.
  std::string data(const std::string& dtype, uint64_t count, uint64_t experts) {
    if (dtype == "F8_E4M3") return bytes(count, [&] { return static_cast<uint8_t>(below(2) * 0x80 + below(0x7F)); });
    if (dtype == "F8_E8M0") return bytes(count, [&] { return static_cast<uint8_t>(120 + below(12)); });
    if (dtype == "I8") return bytes(count, [&] { return static_cast<uint8_t>(below(256)); });
    if (dtype == "BF16") return bytes(count, [&] { return static_cast<uint16_t>(below(2) * 0x8000 + 0x3C00 + below(0x300)); });
    if (dtype == "F16") return bytes(count, [&] { return static_cast<uint16_t>(below(2) * 0x8000 + below(0x4C00)); });
    if (dtype == "F32") return bytes(count, [&] { return (static_cast<float>(below(20001)) - 10000.0f) / 8192.0f; });
    if (dtype == "I64") return bytes(count, [&] { return static_cast<int64_t>(below(experts)); });
    throw std::runtime_error("no random data for " + dtype);
  }

 private:
  template <class Make>
  std::string bytes(uint64_t count, Make make) {
    std::vector<decltype(make())> values(count);
    for (auto& value : values) value = make();
    return bytes_of(values);
  }

  std::mt19937_64 engine_;
};

inline int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

/// Every tensor that the config implies.
inline std::vector<RawTensor> random_tensors(const std::string& config_text, uint64_t seed = 1) {
  const Config config = parse_config(config_text, "config.json");
  RandomBytes random(seed);
  std::vector<RawTensor> tensors;
  for (const TensorSpec& spec : tensor_table(config)) {
    for (const ShardSpec& stored : shard_tensors(config, spec)) {
      const std::string dtype(dtype_name(stored.dtype));
      const std::string data =
          random.data(dtype, static_cast<uint64_t>(count_of(stored.shape)), static_cast<uint64_t>(config.n_routed_experts));
      tensors.push_back({stored.name, dtype, stored.shape, data});
    }
  }
  return tensors;
}

inline RawTensor& tensor_named(std::vector<RawTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const RawTensor& tensor) { return tensor.name == name; });
  if (found == tensors.end()) throw std::runtime_error("the test has no tensor " + name);
  return *found;
}

inline void erase_named(std::vector<RawTensor>& tensors, const std::string& name) {
  tensor_named(tensors, name);  // throws where there is none
  std::erase_if(tensors, [&](const RawTensor& tensor) { return tensor.name == name; });
}

/// The tensors of a file, read by way of a JSON tree: the library's reader has no part in it.
inline std::vector<RawTensor> read_raw_file(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, length));
  std::vector<RawTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    tensors.push_back({name, entry["dtype"], entry["shape"], bytes.substr(8 + length + begin, end - begin)});
  }
  return tensors;
}

}  // namespace dsv4::test
