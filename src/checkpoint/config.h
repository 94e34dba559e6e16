// config.json of a DeepSeek-V4 checkpoint, in DeepSeek's form or transformers' form, as one checked structure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// Attention class of a layer. Decided by class, not by number: tests use other rates (spec 1.2).
enum class LayerKind {
  kSliding,  ///< compress ratio 0: the window only
  kCsa,      ///< "compressed sparse attention" (4 in the releases): overlapping compressor and an indexer that selects top-k
  kHca,      ///< "heavily compressed attention" (128 in the releases): compressor without overlap, every entry visible
};

struct YarnScaling {
  double factor = 1.0;
  double original_max_position = 0.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
};

struct LayerConfig {
  LayerKind kind = LayerKind::kSliding;
  int64_t compress_ratio = 0;  ///< m: tokens a compressed entry stands for; 0 for kSliding
  bool hash_routed = false;    ///< experts from gate.tid2eid instead of scores + bias
};

/// 4-bit integers as compressed-tensors packs them.
struct Int4Group {
  int64_t group_size = -1;  ///< inputs of a row that share a scale; -1: the whole row
  bool symmetric = true;    ///< no zero points
};

/// Draft stages in place of NextN blocks, as V4-Flash-0731 has them.
struct Dspark {
  int64_t block_size = 0;      ///< n: drafts of a block
  int64_t noise_token_id = 0;  ///< stands in the block for tokens that are not known yet
  int64_t markov_rank = 0;
  std::vector<int64_t> target_layers;  ///< after which the first stage reads the streams; ascending
};

/// Symbols of docs/model.md in the comments.
struct Config {
  int64_t vocab_size = 0;           // V
  int64_t hidden_size = 0;          // D
  int64_t num_hidden_layers = 0;    // L
  int64_t num_attention_heads = 0;  // H
  int64_t head_dim = 0;             // hd
  int64_t qk_rope_head_dim = 0;     // rd, even, <= head_dim and <= index_head_dim
  int64_t q_lora_rank = 0;          // R
  int64_t o_groups = 0;             // G, divides H
  int64_t o_lora_rank = 0;          // r
  int64_t sliding_window = 0;       // W
  int64_t index_n_heads = 0;
  int64_t index_head_dim = 0;
  int64_t index_topk = 0;
  double rope_theta = 10000.0;
  double compress_rope_theta = 160000.0;
  std::optional<YarnScaling> yarn;  // only layers with m != 0
  int64_t max_position_embeddings = 0;
  int64_t n_routed_experts = 0;     // E
  int64_t num_experts_per_tok = 0;  // K
  int64_t n_shared_experts = 1;
  int64_t moe_intermediate_size = 0;  // I
  double routed_scaling_factor = 1.0;
  double swiglu_limit = 0.0;  // 0: no clamp
  int64_t hc_mult = 4;        // hc
  int64_t hc_sinkhorn_iters = 20;
  double hc_eps = 1e-6;
  double rms_norm_eps = 1e-6;
  int64_t num_nextn_predict_layers = 0;
  int64_t bos_token_id = 0;
  std::vector<int64_t> eos_token_ids = {1};
  int64_t fp8_block_rows = 128;  // weight_block_size of the FP8 scales
  int64_t fp8_block_cols = 128;
  std::vector<Int4Group> int4_groups;  ///< as quantization_config lists them; empty: the tensors decide
  std::string expert_dtype;         ///< "fp4", "nvfp4", "int4", "fp8", "bf16", "f16" or "f32"; empty when absent (then the tensors decide)
  std::vector<LayerConfig> layers;  ///< num_hidden_layers entries
  std::vector<LayerConfig> mtp_layers;  ///< num_nextn_predict_layers entries, or DSpark's stages (ratio 0 in every release)
  std::optional<Dspark> dspark;         ///< mtp_layers are stages of it

  int64_t hc_mix() const { return (2 + hc_mult) * hc_mult; }  ///< outputs of hc_*_fn: 24
};

/// Parses and checks the text. `where` names the file in messages. Refuses `deepseek_v41`, unknown model types, unknown scoring functions,
/// impossible sizes; accepts both forms of spec 1.1 and 1.2.
Config parse_config(std::string_view json_text, const std::string& where);

/// The text of a config.json that the user names; Error when there is no such file, or one of more than 16 MiB.
std::string read_config_text(const std::filesystem::path& file);

/// That of DIR/config.json; Error also when there is no such directory, and for a link out of it.
std::string read_directory_config_text(const std::filesystem::path& directory);

/// Reads DIR/config.json.
Config read_config(const std::filesystem::path& directory);

}  // namespace dsv4
