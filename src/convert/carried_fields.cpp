// The lists of known fields.
#include "convert/carried_fields.h"

#include <algorithm>
#include <span>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

// DeepSeek's, those of transformers' DeepseekV4Config, and what its PretrainedConfig says of every model.
constexpr std::string_view kConfig[] = {"architectures",
                                        "model_type",
                                        "attention_bias",
                                        "attention_dropout",
                                        "bos_token_id",
                                        "eos_token_id",
                                        "pad_token_id",
                                        "chunk_size_feed_forward",
                                        "compress_ratios",
                                        "compress_rate_csa",
                                        "compress_rate_hca",
                                        "compress_rates",
                                        "compress_rope_theta",
                                        "dtype",
                                        "torch_dtype",
                                        "expert_dtype",
                                        "hc_eps",
                                        "hc_mult",
                                        "hc_sinkhorn_iters",
                                        "head_dim",
                                        "hidden_act",
                                        "hidden_size",
                                        "index_head_dim",
                                        "index_n_heads",
                                        "index_topk",
                                        "initializer_range",
                                        "intermediate_size",
                                        "is_encoder_decoder",
                                        "layer_types",
                                        "max_position_embeddings",
                                        "mlp_bias",
                                        "mlp_layer_types",
                                        "moe_intermediate_size",
                                        "n_group",
                                        "n_routed_experts",
                                        "n_shared_experts",
                                        "norm_topk_prob",
                                        "num_attention_heads",
                                        "num_experts_per_tok",
                                        "num_hash_layers",
                                        "num_hidden_layers",
                                        "num_key_value_heads",
                                        "num_local_experts",
                                        "num_nextn_predict_layers",
                                        "o_groups",
                                        "o_lora_rank",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "output_router_logits",
                                        "partial_rotary_factor",
                                        "pretraining_tp",
                                        "problem_type",
                                        "q_lora_rank",
                                        "qk_rope_head_dim",
                                        "quantization_config",
                                        "return_dict",
                                        "rms_norm_eps",
                                        "rope_parameters",
                                        "rope_scaling",
                                        "rope_theta",
                                        "routed_scaling_factor",
                                        "router_aux_loss_coef",
                                        "router_jitter_noise",
                                        "scoring_func",
                                        "sliding_window",
                                        "swiglu_limit",
                                        "tie_word_embeddings",
                                        "topk_group",
                                        "topk_method",
                                        "transformers_version",
                                        "use_cache",
                                        "vocab_size",
                                        "dspark_block_size",
                                        "dspark_noise_token_id",
                                        "dspark_target_layer_ids",
                                        "dspark_markov_rank"};

// Of transformers' GenerationConfig.
constexpr std::string_view kGeneration[] = {"_from_model_config",
                                            "bad_words_ids",
                                            "begin_suppress_tokens",
                                            "bos_token_id",
                                            "decoder_start_token_id",
                                            "diversity_penalty",
                                            "do_sample",
                                            "early_stopping",
                                            "encoder_no_repeat_ngram_size",
                                            "encoder_repetition_penalty",
                                            "eos_token_id",
                                            "epsilon_cutoff",
                                            "eta_cutoff",
                                            "exponential_decay_length_penalty",
                                            "force_words_ids",
                                            "forced_bos_token_id",
                                            "forced_eos_token_id",
                                            "guidance_scale",
                                            "length_penalty",
                                            "max_length",
                                            "max_new_tokens",
                                            "max_time",
                                            "min_length",
                                            "min_new_tokens",
                                            "min_p",
                                            "no_repeat_ngram_size",
                                            "num_assistant_tokens",
                                            "num_beam_groups",
                                            "num_beams",
                                            "num_return_sequences",
                                            "output_attentions",
                                            "output_hidden_states",
                                            "output_logits",
                                            "output_scores",
                                            "pad_token_id",
                                            "penalty_alpha",
                                            "prompt_lookup_num_tokens",
                                            "remove_invalid_values",
                                            "renormalize_logits",
                                            "repetition_penalty",
                                            "return_dict_in_generate",
                                            "sequence_bias",
                                            "stop_strings",
                                            "suppress_tokens",
                                            "temperature",
                                            "top_h",
                                            "top_k",
                                            "top_p",
                                            "transformers_version",
                                            "typical_p",
                                            "use_cache"};

// Of transformers' tokenizers.
constexpr std::string_view kTokenizer[] = {"add_bos_token",
                                           "add_eos_token",
                                           "add_prefix_space",
                                           "added_tokens_decoder",
                                           "additional_special_tokens",
                                           "backend",
                                           "bos_token",
                                           "chat_template",
                                           "clean_up_tokenization_spaces",
                                           "cls_token",
                                           "eos_token",
                                           "errors",
                                           "extra_special_tokens",
                                           "legacy",
                                           "mask_token",
                                           "max_length",
                                           "model_input_names",
                                           "model_max_length",
                                           "pad_to_multiple_of",
                                           "pad_token",
                                           "pad_token_type_id",
                                           "padding_side",
                                           "sep_token",
                                           "sp_model_kwargs",
                                           "spaces_between_special_tokens",
                                           "split_special_tokens",
                                           "stride",
                                           "tokenizer_class",
                                           "truncation_side",
                                           "truncation_strategy",
                                           "unk_token",
                                           "use_default_system_prompt"};

constexpr std::string_view kSpecialTokens[] = {
    "additional_special_tokens", "bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token"};

std::span<const std::string_view> known_fields(std::string_view file) {
  if (file == "config.json") return kConfig;
  if (file == "generation_config.json") return kGeneration;
  if (file == "tokenizer_config.json") return kTokenizer;
  if (file == "special_tokens_map.json") return kSpecialTokens;
  fail(file, ": has no list of fields; this is a mistake in dsv4");
}

}  // namespace

std::vector<std::string> keep_known_fields(std::string_view file, nlohmann::ordered_json& object) {
  const std::span<const std::string_view> known = known_fields(file);
  std::vector<std::string> others;
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) others.push_back(name);
  }
  for (const std::string& name : others) object.erase(name);
  return others;
}

}  // namespace dsv4
