// transformers' tensor names a second time: an ordered list of text replacements, where the library has a table.
#pragma once

#include <string>

namespace dsv4::test {

/// DeepSeek's name -> transformers', experts one by one.
inline std::string transformers_spelling(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  };
  if (name.rfind("mtp.", 0) == 0) return name;
  if (name == "head.weight") return "lm_head.weight";
  name = "model." + name;
  replace("model.embed.", "model.embed_tokens.");
  replace("hc_head_", "hc_head.hc_");
  replace(".hc_attn_", ".attn_hc.");
  replace(".hc_ffn_", ".ffn_hc.");
  replace(".attn_norm.", ".input_layernorm.");
  replace(".ffn_norm.", ".post_attention_layernorm.");
  replace(".attn.", ".self_attn.");
  replace(".ffn.", ".mlp.");
  replace(".attn_sink", ".sinks");
  replace(".self_attn.q_norm.", ".self_attn.q_a_norm.");
  replace(".indexer.compressor.", ".compressor.indexer.");
  replace(".self_attn.indexer.", ".self_attn.compressor.indexer.");
  replace(".indexer.weights_proj.", ".indexer.scorer.weights_proj.");
  replace(".compressor.norm.", ".compressor.kv_norm.");
  replace(".indexer.norm.", ".indexer.kv_norm.");
  replace(".ape", ".position_bias");
  replace(".wq_a.", ".q_a_proj.");
  replace(".wq_b.", ".q_b_proj.");
  replace(".wkv.", ".kv_proj.");
  replace(".wgate.", ".gate_proj.");
  replace(".wo_a.", ".o_a_proj.");
  replace(".wo_b.", ".o_b_proj.");
  replace(".gate.bias", ".gate.e_score_correction_bias");
  replace(".w1.", ".gate_proj.");
  replace(".w2.", ".down_proj.");
  replace(".w3.", ".up_proj.");
  if (name.find("_hc.") == std::string::npos && name.find("hc_head") == std::string::npos) replace(".scale", ".weight_scale_inv");
  return name;
}

}  // namespace dsv4::test
