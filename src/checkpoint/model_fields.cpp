// The fields of a config as text.
#include "checkpoint/model_fields.h"

#include <algorithm>
#include <charconv>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

template <class Text>
std::string list_of_layers(const Config& config, const Text& text) {
  std::string list;
  for (const LayerConfig& layer : config.layers) list += (list.empty() ? "" : ",") + text(layer);
  return list;
}

std::string kind_name(const LayerConfig& layer) {
  switch (layer.kind) {
    case LayerKind::kSliding:
      return "sliding_attention";
    case LayerKind::kCsa:
      return "compressed_sparse_attention";
    case LayerKind::kHca:
      return "heavily_compressed_attention";
  }
  fail("a layer of unknown kind ", static_cast<int>(layer.kind));
}

/// The number of hashed layers where they come first, else every layer.
std::string hashed_layers(const Config& config) {
  const auto plain = [](const LayerConfig& layer) { return !layer.hash_routed; };
  const auto first_plain = std::find_if(config.layers.begin(), config.layers.end(), plain);
  if (std::all_of(first_plain, config.layers.end(), plain)) return concat(first_plain - config.layers.begin());
  return list_of_layers(config, [](const LayerConfig& layer) { return std::string(layer.hash_routed ? "hash_moe" : "moe"); });
}

}  // namespace

std::vector<ModelField> model_fields(const Config& config) {
  std::vector<ModelField> fields;
  const auto integer = [&](const char* name, int64_t value, const char* also = "") { fields.push_back({name, concat(value), also}); };
  const auto real = [&](const char* name, double value, const char* also = "") { fields.push_back({name, number(value), also}); };
  integer("num_hidden_layers", config.num_hidden_layers);
  fields.push_back(
      {"compress_ratios", list_of_layers(config, [](const LayerConfig& layer) { return concat(layer.compress_ratio); }), "compress_rates"});
  fields.push_back({"layer_types", list_of_layers(config, kind_name), "compress_ratios"});
  fields.push_back({"num_hash_layers", hashed_layers(config), "mlp_layer_types"});
  integer("vocab_size", config.vocab_size);
  integer("hidden_size", config.hidden_size);
  integer("num_attention_heads", config.num_attention_heads);
  integer("head_dim", config.head_dim);
  integer("qk_rope_head_dim", config.qk_rope_head_dim, "partial_rotary_factor");
  integer("q_lora_rank", config.q_lora_rank);
  integer("o_groups", config.o_groups);
  integer("o_lora_rank", config.o_lora_rank);
  integer("sliding_window", config.sliding_window);
  integer("index_n_heads", config.index_n_heads);
  integer("index_head_dim", config.index_head_dim);
  integer("index_topk", config.index_topk);
  real("rope_theta", config.rope_theta, "rope_parameters");
  real("compress_rope_theta", config.compress_rope_theta, "rope_parameters");
  fields.push_back({"rope_scaling.type", config.yarn ? "yarn" : "default", "rope_parameters"});
  if (config.yarn) {
    real("rope_scaling.factor", config.yarn->factor, "rope_parameters");
    real("rope_scaling.original_max_position_embeddings", config.yarn->original_max_position, "rope_parameters");
    real("rope_scaling.beta_fast", config.yarn->beta_fast, "rope_parameters");
    real("rope_scaling.beta_slow", config.yarn->beta_slow, "rope_parameters");
  }
  integer("n_routed_experts", config.n_routed_experts, "num_local_experts");
  integer("num_experts_per_tok", config.num_experts_per_tok);
  integer("n_shared_experts", config.n_shared_experts);
  integer("moe_intermediate_size", config.moe_intermediate_size, "intermediate_size");
  real("routed_scaling_factor", config.routed_scaling_factor);
  real("swiglu_limit", config.swiglu_limit);
  integer("hc_mult", config.hc_mult);
  integer("hc_sinkhorn_iters", config.hc_sinkhorn_iters);
  real("hc_eps", config.hc_eps);
  real("rms_norm_eps", config.rms_norm_eps);
  return fields;
}

}  // namespace dsv4
