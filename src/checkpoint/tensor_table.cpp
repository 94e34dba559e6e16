// The tensor table: one function a part of the model, each a list of (name, published type, shape).
#include "checkpoint/tensor_table.h"

#include <iterator>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Appends to the table; every name gets the prefix of the part being listed.
class Table {
 public:
  Table(const Config& config, std::vector<TensorSpec>& specs) : c_(config), specs_(specs) {}

  void globals_first() { add("embed.weight", NumberFormat::kBF16, {c_.vocab_size, c_.hidden_size}); }

  void globals_last() {
    add("norm.weight", NumberFormat::kBF16, {c_.hidden_size});
    hyper_head("");
    add("head.weight", NumberFormat::kBF16, {c_.vocab_size, c_.hidden_size});
  }

  void block(const std::string& prefix, const LayerConfig& layer) {
    hyper_connection(prefix + "hc_attn_");
    add(prefix + "attn_norm.weight", NumberFormat::kBF16, {c_.hidden_size});
    attention(prefix + "attn.", layer);
    hyper_connection(prefix + "hc_ffn_");
    add(prefix + "ffn_norm.weight", NumberFormat::kBF16, {c_.hidden_size});
    mixture(prefix + "ffn.", layer);
  }

  /// NextN block (spec 2.13): a block and what joins the streams with the next token's embedding.
  void mtp(const std::string& prefix, const LayerConfig& layer) {
    mtp_ = true;
    block(prefix, layer);
    add(prefix + "e_proj.weight", NumberFormat::kF8E4M3, {c_.hidden_size, c_.hidden_size});
    add(prefix + "h_proj.weight", NumberFormat::kF8E4M3, {c_.hidden_size, c_.hidden_size});
    for (const char* norm : {"enorm", "hnorm", "norm"}) add(prefix + norm + ".weight", NumberFormat::kBF16, {c_.hidden_size});
    hyper_head(prefix);
    mtp_ = false;
  }

  /// DSpark's stages (spec 2.14): the first one reads the streams after the target layers, the last one has the heads.
  void draft_stages(const std::vector<LayerConfig>& stages, const Dspark& dspark) {
    mtp_ = true;
    for (size_t i = 0; i < stages.size(); ++i) {
      const std::string prefix = concat("mtp.", i, ".");
      block(prefix, stages[i]);
      if (i == 0) {
        add(prefix + "main_proj.weight", NumberFormat::kF8E4M3, {c_.hidden_size, std::ssize(dspark.target_layers) * c_.hidden_size});
        add(prefix + "main_norm.weight", NumberFormat::kBF16, {c_.hidden_size});
      }
      if (i + 1 < stages.size()) continue;
      add(prefix + "norm.weight", NumberFormat::kBF16, {c_.hidden_size});
      hyper_head(prefix);
      for (const char* matrix : {"markov_w1", "markov_w2"}) {
        add(concat(prefix, "markov_head.", matrix, ".weight"), NumberFormat::kBF16, {c_.vocab_size, dspark.markov_rank});
      }
      add(prefix + "confidence_head.proj.weight", NumberFormat::kBF16, {1, c_.hidden_size + dspark.markov_rank});
    }
    mtp_ = false;
  }

 private:
  void add(std::string name, NumberFormat published, Shape shape) {
    specs_.push_back({std::move(name), published, std::move(shape), mtp_});
  }

  void hyper_connection(const std::string& prefix) {
    add(prefix + "fn", NumberFormat::kF32, {c_.hc_mix(), c_.hc_mult * c_.hidden_size});
    add(prefix + "base", NumberFormat::kF32, {c_.hc_mix()});
    add(prefix + "scale", NumberFormat::kF32, {3});  // pre, post, comb
  }

  void hyper_head(const std::string& prefix) {
    add(prefix + "hc_head_fn", NumberFormat::kF32, {c_.hc_mult, c_.hc_mult * c_.hidden_size});
    add(prefix + "hc_head_base", NumberFormat::kF32, {c_.hc_mult});
    add(prefix + "hc_head_scale", NumberFormat::kF32, {1});
  }

  void attention(const std::string& prefix, const LayerConfig& layer) {
    const int64_t width = c_.num_attention_heads * c_.head_dim;
    add(prefix + "attn_sink", NumberFormat::kF32, {c_.num_attention_heads});
    add(prefix + "wq_a.weight", NumberFormat::kF8E4M3, {c_.q_lora_rank, c_.hidden_size});
    add(prefix + "q_norm.weight", NumberFormat::kBF16, {c_.q_lora_rank});
    add(prefix + "wq_b.weight", NumberFormat::kF8E4M3, {width, c_.q_lora_rank});
    add(prefix + "wkv.weight", NumberFormat::kF8E4M3, {c_.head_dim, c_.hidden_size});
    add(prefix + "kv_norm.weight", NumberFormat::kBF16, {c_.head_dim});
    add(prefix + "wo_a.weight", NumberFormat::kF8E4M3, {c_.o_groups * c_.o_lora_rank, width / c_.o_groups});
    add(prefix + "wo_b.weight", NumberFormat::kF8E4M3, {c_.hidden_size, c_.o_groups * c_.o_lora_rank});
    if (layer.kind == LayerKind::kSliding) return;
    compressor(prefix + "compressor.", layer, c_.head_dim);
    if (layer.kind != LayerKind::kCsa) return;
    add(prefix + "indexer.wq_b.weight", NumberFormat::kF8E4M3, {c_.index_n_heads * c_.index_head_dim, c_.q_lora_rank});
    add(prefix + "indexer.weights_proj.weight", NumberFormat::kBF16, {c_.index_n_heads, c_.hidden_size});
    compressor(prefix + "indexer.compressor.", layer, c_.index_head_dim);
  }

  /// CSA entries overlap: a token contributes to its own entry and to the next, hence two halves (spec 2.10).
  void compressor(const std::string& prefix, const LayerConfig& layer, int64_t width) {
    const int64_t rows = (layer.kind == LayerKind::kCsa ? 2 : 1) * width;
    add(prefix + "ape", NumberFormat::kF32, {layer.compress_ratio, rows});
    add(prefix + "wkv.weight", NumberFormat::kBF16, {rows, c_.hidden_size});
    add(prefix + "wgate.weight", NumberFormat::kBF16, {rows, c_.hidden_size});
    add(prefix + "norm.weight", NumberFormat::kBF16, {width});
  }

  void mixture(const std::string& prefix, const LayerConfig& layer) {
    add(prefix + "gate.weight", NumberFormat::kBF16, {c_.n_routed_experts, c_.hidden_size});
    if (layer.hash_routed) {
      add(prefix + "gate.tid2eid", NumberFormat::kI64, {c_.vocab_size, c_.num_experts_per_tok});
    } else {
      add(prefix + "gate.bias", NumberFormat::kF32, {c_.n_routed_experts});
    }
    expert(prefix + "shared_experts.", NumberFormat::kF8E4M3);
    const std::string& type = c_.expert_dtype;
    const bool plain = type == "bf16" || type == "f16" || type == "f32";
    const NumberFormat routed = type == "fp8" ? NumberFormat::kF8E4M3 : plain ? NumberFormat::kBF16 : NumberFormat::kF4E2M1;
    for (int64_t e = 0; e < c_.n_routed_experts; ++e) expert(prefix + "experts." + std::to_string(e) + ".", routed);
  }

  void expert(const std::string& prefix, NumberFormat published) {
    add(prefix + "w1.weight", published, {c_.moe_intermediate_size, c_.hidden_size});
    add(prefix + "w2.weight", published, {c_.hidden_size, c_.moe_intermediate_size});
    add(prefix + "w3.weight", published, {c_.moe_intermediate_size, c_.hidden_size});
  }

  const Config& c_;
  std::vector<TensorSpec>& specs_;
  bool mtp_ = false;
};

}  // namespace

std::vector<TensorSpec> tensor_table(const Config& config) {
  std::vector<TensorSpec> specs;
  Table table(config, specs);
  table.globals_first();
  for (size_t i = 0; i < config.layers.size(); ++i) table.block(concat("layers.", i, "."), config.layers[i]);
  table.globals_last();
  if (config.dspark) {
    table.draft_stages(config.mtp_layers, *config.dspark);
    return specs;
  }
  for (size_t i = 0; i < config.mtp_layers.size(); ++i) table.mtp(concat("mtp.", i, "."), config.mtp_layers[i]);
  return specs;
}

std::vector<ShardSpec> shard_tensors(const Config& config, const TensorSpec& spec) {
  switch (spec.published) {
    case NumberFormat::kBF16:
      return {{spec.name, DType::kBF16, spec.shape}};
    case NumberFormat::kF32:
      return {{spec.name, DType::kF32, spec.shape}};
    case NumberFormat::kI64:
      return {{spec.name, DType::kI64, spec.shape}};
    case NumberFormat::kF8E4M3: {
      const Shape blocks = {ceil_div(spec.shape[0], config.fp8_block_rows), ceil_div(spec.shape[1], config.fp8_block_cols)};
      return {{spec.name, DType::kF8E4M3, spec.shape}, {scale_name(spec.name), DType::kF8E8M0, blocks}};
    }
    case NumberFormat::kF4E2M1: {
      const Shape packed = {spec.shape[0], ceil_div(spec.shape[1], 2)};
      const Shape groups = {spec.shape[0], ceil_div(spec.shape[1], kFp4Group)};
      return {{spec.name, DType::kI8, packed}, {scale_name(spec.name), DType::kF8E8M0, groups}};
    }
    default:
      fail(spec.name, ": ", name_of(spec.published), " is not what a release publishes; this is a mistake in dsv4");
  }
}

std::string scale_name(const std::string& weight_name) {
  constexpr std::string_view kSuffix = ".weight";
  if (weight_name.size() <= kSuffix.size() || weight_name.compare(weight_name.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0) {
    fail(weight_name, ": has no scale, expected a name that ends in .weight");
  }
  return weight_name.substr(0, weight_name.size() - kSuffix.size()) + ".scale";
}

}  // namespace dsv4
