// Configs of the synthetic checkpoints: the releases and a toy of 1.34 M parameters.
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "checkpoint/synthesize.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::ordered_json;

/// What V4-Flash states; the launch file has no expert_dtype, its experts are FP4.
constexpr const char* kFlash = R"json({
  "architectures": ["DeepseekV4ForCausalLM"],
  "attention_bias": false,
  "attention_dropout": 0.0,
  "bos_token_id": 0,
  "eos_token_id": 1,
  "expert_dtype": "fp4",
  "hc_eps": 1e-06,
  "hc_mult": 4,
  "hc_sinkhorn_iters": 20,
  "head_dim": 512,
  "hidden_act": "silu",
  "hidden_size": 4096,
  "index_head_dim": 128,
  "index_n_heads": 64,
  "index_topk": 512,
  "initializer_range": 0.02,
  "max_position_embeddings": 1048576,
  "model_type": "deepseek_v4",
  "moe_intermediate_size": 2048,
  "n_routed_experts": 256,
  "n_shared_experts": 1,
  "norm_topk_prob": true,
  "num_attention_heads": 64,
  "num_experts_per_tok": 6,
  "num_hidden_layers": 43,
  "num_hash_layers": 3,
  "num_key_value_heads": 1,
  "num_nextn_predict_layers": 1,
  "o_groups": 8,
  "o_lora_rank": 1024,
  "q_lora_rank": 1024,
  "qk_rope_head_dim": 64,
  "quantization_config": {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "scale_fmt": "ue8m0",
    "weight_block_size": [128, 128]
  },
  "rms_norm_eps": 1e-06,
  "rope_scaling": {
    "beta_fast": 32,
    "beta_slow": 1,
    "factor": 16,
    "original_max_position_embeddings": 65536,
    "type": "yarn"
  },
  "rope_theta": 10000,
  "routed_scaling_factor": 1.5,
  "scoring_func": "sqrtsoftplus",
  "sliding_window": 128,
  "swiglu_limit": 10.0,
  "tie_word_embeddings": false,
  "topk_method": "noaux_tc",
  "torch_dtype": "bfloat16",
  "transformers_version": "4.57.1",
  "use_cache": true,
  "vocab_size": 129280,
  "compress_rope_theta": 160000
})json";

constexpr const char* kProDiffers = R"json({
  "hidden_size": 7168,
  "index_topk": 1024,
  "moe_intermediate_size": 3072,
  "n_routed_experts": 384,
  "num_attention_heads": 128,
  "num_hidden_layers": 61,
  "o_groups": 16,
  "q_lora_rank": 1536,
  "routed_scaling_factor": 2.5
})json";

constexpr const char* kFlash0731Differs = R"json({
  "dspark_block_size": 5,
  "dspark_markov_rank": 256,
  "dspark_noise_token_id": 128799,
  "dspark_target_layer_ids": [40, 41, 42]
})json";

/// Small enough for every test, and yet each kind of layer; null takes a field away.
constexpr const char* kToyDiffers = R"json({
  "hc_sinkhorn_iters": 4,
  "head_dim": 32,
  "hidden_size": 128,
  "index_head_dim": 32,
  "index_n_heads": 8,
  "index_topk": 16,
  "max_position_embeddings": 4096,
  "moe_intermediate_size": 64,
  "n_routed_experts": 8,
  "num_attention_heads": 4,
  "num_experts_per_tok": 2,
  "num_hash_layers": 0,
  "num_hidden_layers": 4,
  "num_nextn_predict_layers": 0,
  "o_groups": 2,
  "o_lora_rank": 32,
  "q_lora_rank": 64,
  "qk_rope_head_dim": 8,
  "rope_scaling": null,
  "vocab_size": 512
})json";

/// `first` twice, then 4 and 128 in turn, a 4 last, and 0 for each block of the draft.
std::vector<int> release_ratios(int first, int layers, size_t draft_blocks) {
  std::vector<int> ratios = {first, first};
  while (static_cast<int>(ratios.size()) < layers) ratios.push_back(ratios.size() % 2 == 0 ? 4 : 128);
  ratios.insert(ratios.end(), draft_blocks, 0);
  return ratios;
}

}  // namespace

std::vector<std::string> preset_names() { return {"toy", "v4-flash", "v4-flash-0731", "v4-pro"}; }

std::string preset_config(const std::string& preset) {
  ordered_json config = parse_json(kFlash);
  if (preset == "v4-flash") {
    config["compress_ratios"] = release_ratios(0, 43, 1);
  } else if (preset == "v4-flash-0731") {
    config.merge_patch(parse_json(kFlash0731Differs));
    config["compress_ratios"] = release_ratios(0, 43, 3);
  } else if (preset == "v4-pro") {
    config.merge_patch(parse_json(kProDiffers));
    config["compress_ratios"] = release_ratios(128, 61, 1);
  } else if (preset == "toy") {
    config.merge_patch(parse_json(kToyDiffers));
    config["compress_ratios"] = {0, 0, 4, 128};
  } else {
    fail("\"", preset, "\" is no preset, expected one of ", joined(preset_names()));
  }
  return json_file_text(config);
}

}  // namespace dsv4
