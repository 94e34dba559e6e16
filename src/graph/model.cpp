// The DeepSeek-V4 model: token embedding -> L blocks of hyper-connected attention and experts -> norm -> head.
#include "graph/model.h"

#include <algorithm>
#include <string>

namespace dsv4 {

std::vector<Block> model_blocks(const Config& config) {
  std::vector<Block> blocks;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    blocks.push_back({"layers." + std::to_string(layer), config.layers[static_cast<size_t>(layer)], layer});
  }
  return blocks;
}

Streams block(Vocabulary& ops, const Streams& streams, const Block& block) {
  const std::string& prefix = block.prefix;
  const HyperConnection attn = ops.hyper_connect_pre(streams, prefix + ".hc_attn", prefix + ".attn_norm.weight");  // [T,hc,D] -> [T,1,D]
  const Streams between = ops.hyper_connect_post(attn, ops.attention(attn.input, block));                          // [T,1,D] -> [T,hc,D]

  const HyperConnection ffn = ops.hyper_connect_pre(between, prefix + ".hc_ffn", prefix + ".ffn_norm.weight");  // [T,hc,D] -> [T,1,D]
  return ops.hyper_connect_post(ffn, ops.experts(ffn.input, block));                                            // [T,1,D] -> [T,hc,D]
}

ModelOutputs build_model(const Config& config, Vocabulary& ops, std::span<const int64_t> tap_layers) {
  ModelOutputs outputs;
  outputs.streams = ops.embed();  // [B,S] ids -> [T,hc,D]
  for (const Block& each : model_blocks(config)) {
    outputs.streams = block(ops, outputs.streams, each);  // [T,hc,D] -> [T,hc,D]
    if (std::find(tap_layers.begin(), tap_layers.end(), each.cache) != tap_layers.end()) outputs.taps.push_back(outputs.streams);
  }
  const Value hidden = ops.hyper_connect_head(outputs.streams, "hc_head", "norm.weight");  // [T,hc,D] -> [T,1,D]
  outputs.logits = ops.logits(hidden, "head.weight");                                      // [T,1,D] -> [B,S,V]
  return outputs;
}

}  // namespace dsv4
