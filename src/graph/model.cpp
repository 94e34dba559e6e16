// The DeepSeek-V4 model: token embedding -> L blocks of hyper-connected attention and experts -> norm -> head.
#include "graph/model.h"

#include <string>

#include "graph/portable/portable.h"

namespace dsv4 {

std::shared_ptr<ov::Model> build_model(const Config& config, Vocabulary& ops) {
  Streams streams = ops.embed();  // [B,S] ids -> [T,hc,D]
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer);

    const HyperConnection attn = ops.hyper_connect_pre(streams, prefix + ".hc_attn", prefix + ".attn_norm.weight");  // [T,hc,D] -> [T,1,D]
    streams = ops.hyper_connect_post(attn, ops.attention(attn.input, layer));                                        // [T,1,D] -> [T,hc,D]

    const HyperConnection ffn = ops.hyper_connect_pre(streams, prefix + ".hc_ffn", prefix + ".ffn_norm.weight");  // [T,hc,D] -> [T,1,D]
    streams = ops.hyper_connect_post(ffn, ops.experts(ffn.input, layer));                                         // [T,1,D] -> [T,hc,D]
  }
  const Value hidden = ops.hyper_connect_head(streams, "hc_head", "norm.weight");  // [T,hc,D] -> [T,1,D]
  return ops.finish(ops.logits(hidden, "head.weight"));                            // [T,1,D] -> [B,S,V]
}

std::shared_ptr<ov::Model> build_portable_model(const Config& config, WeightSource& weights, const PortableOptions& options) {
  PortableVocabulary vocabulary(config, weights, options);
  return build_model(config, vocabulary);
}

std::string stacked_gate_up_name(int64_t layer) { return "layers." + std::to_string(layer) + ".ffn.experts.w1w3.weight"; }

std::string stacked_down_name(int64_t layer) { return "layers." + std::to_string(layer) + ".ffn.experts.w2.weight"; }

std::string row_group_name(const std::string& matrix, int64_t index) { return matrix + "/rows." + std::to_string(index); }

}  // namespace dsv4
