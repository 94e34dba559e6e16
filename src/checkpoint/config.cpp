// Reads config.json: both published forms, every value checked, one line of explanation for what cannot be used.
#include "checkpoint/config.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "checkpoint/foreign_weights.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/quantization_config.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;

// Bounds far above every release (V4-Pro: D 7168, 61 layers, 384 experts) and low enough that no product of dimensions leaves 63 bits
// and that the tensor table of a hostile config stays small.
constexpr int64_t kMaxDim = 1 << 20;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxHeads = 1 << 14;
constexpr int64_t kMaxHeadDim = 1 << 16;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxExperts = 1 << 14;
constexpr int64_t kMaxLayersTimesExperts = 1 << 18;
// Of numbers that no tensor's size bears out. A window is held whole by the portable program, in masks and states (releases: 128 rows). Its index arithmetic
// is exact up to position 2^24 where a plugin computes in float32, 2^20 of them being kept for left padding (graph/portable/call_positions.cpp).
constexpr int64_t kMaxWindow = 1 << 13;
constexpr int64_t kMaxPositions = (1 << 24) - (1 << 20);
constexpr int64_t kMaxRatio = 1 << 13;
constexpr size_t kMaxStages = 16;       // of DSpark; releases: 3
constexpr int64_t kMaxDraftBlock = 64;  // releases: 5
constexpr JsonFile kConfigFile = {"config", "the config.json of a DeepSeek-V4 checkpoint", 16u << 20};

void check_model_type(const Fields& fields) {
  const std::string type = fields.as_text("model_type", fields.need("model_type"));
  if (type == "deepseek_v41") {
    fields.refuse("model_type", "found \"deepseek_v41\": DeepSeek-V4.1 is a different architecture (compress ratios 2 and 1, shared KV ",
                  "sources, Engram tables, single-pass hyper-connections); expected \"deepseek_v4\"");
  }
  if (type != "deepseek_v4") fields.refuse("model_type", "found ", shown(type), ", expected \"deepseek_v4\"");
}

void check_fixed_choices(const Fields& fields) {
  fields.text_must_be("scoring_func", "sqrtsoftplus", "no DeepSeek-V4 release uses another router activation");
  fields.text_must_be("topk_method", "noaux_tc", "no DeepSeek-V4 release selects experts otherwise");
  fields.text_must_be("hidden_act", "silu", "DeepSeek-V4 experts are SwiGLU");
  fields.flag_must_be("norm_topk_prob", true, "DeepSeek-V4 always normalises the weights of the selected experts");
  fields.flag_must_be("attention_bias", false, "DeepSeek-V4 projections have no bias");
  fields.flag_must_be("mlp_bias", false, "DeepSeek-V4 projections have no bias");
  fields.flag_must_be("tie_word_embeddings", false, "DeepSeek-V4 has its own head.weight");
  fields.integer_or("num_key_value_heads", 1, 1, 1);
}

/// The field under its own name or the name that transformers maps to it.
int64_t integer_of_either(const Fields& fields, const std::string& key, const std::string& other, int64_t low, int64_t high) {
  return fields.find(key) == nullptr && fields.find(other) != nullptr ? fields.integer(other, low, high) : fields.integer(key, low, high);
}

void read_sizes(const Fields& fields, Config& config) {
  config.vocab_size = fields.integer("vocab_size", 1, kMaxVocab);
  config.hidden_size = fields.integer("hidden_size", 1, kMaxDim);
  config.num_hidden_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.num_attention_heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.head_dim = fields.integer("head_dim", 2, kMaxHeadDim);
  config.q_lora_rank = fields.integer("q_lora_rank", 1, kMaxDim);
  config.o_groups = fields.integer("o_groups", 1, kMaxHeads);
  config.o_lora_rank = fields.integer("o_lora_rank", 1, kMaxDim);
  config.sliding_window = fields.integer("sliding_window", 1, kMaxWindow);
  config.index_n_heads = fields.integer("index_n_heads", 1, kMaxHeads);
  config.index_head_dim = fields.integer("index_head_dim", 2, kMaxHeadDim);
  config.index_topk = fields.integer("index_topk", 1, kMaxDim);
  config.max_position_embeddings = fields.integer("max_position_embeddings", 1, kMaxPositions);
  config.n_routed_experts = integer_of_either(fields, "n_routed_experts", "num_local_experts", 1, kMaxExperts);
  config.num_experts_per_tok = fields.integer("num_experts_per_tok", 1, kMaxExperts);
  config.moe_intermediate_size = integer_of_either(fields, "moe_intermediate_size", "intermediate_size", 1, kMaxDim);
  config.n_shared_experts = fields.integer_or("n_shared_experts", 1, 1, 1);
  config.hc_mult = fields.integer("hc_mult", 1, 64);
  config.hc_sinkhorn_iters = fields.integer_or("hc_sinkhorn_iters", 1, 1000, 20);
  config.num_nextn_predict_layers = fields.integer_or("num_nextn_predict_layers", 0, 64, 0);
}

void read_numbers(const Fields& fields, Config& config) {
  config.routed_scaling_factor = fields.number("routed_scaling_factor", 1e-6, 1e6);
  config.swiglu_limit = fields.number("swiglu_limit", 0.0, 1e6);
  config.hc_eps = fields.number_or("hc_eps", 0.0, 1.0, 1e-6);
  config.rms_norm_eps = fields.number_or("rms_norm_eps", 1e-30, 1.0, 1e-6);
}

void check_fit(const Fields& fields, const Config& config) {
  if (config.num_attention_heads % config.o_groups != 0) {
    fields.refuse("o_groups", "found ", config.o_groups, ", expected a divisor of num_attention_heads ", config.num_attention_heads);
  }
  if (config.head_dim % 2 != 0) fields.refuse("head_dim", "found ", config.head_dim, ", expected an even number");
  if (config.index_head_dim % 2 != 0) fields.refuse("index_head_dim", "found ", config.index_head_dim, ", expected an even number");
  if (config.num_experts_per_tok > config.n_routed_experts) {
    fields.refuse("num_experts_per_tok", "found ", config.num_experts_per_tok, ", expected at most n_routed_experts ",
                  config.n_routed_experts);
  }
  const int64_t blocks = config.num_hidden_layers + config.num_nextn_predict_layers;
  if (blocks * config.n_routed_experts > kMaxLayersTimesExperts) {
    fields.refuse("n_routed_experts", "found ", config.n_routed_experts, " in ", blocks, " layers, expected at most ",
                  kMaxLayersTimesExperts, " experts in all");
  }
}

/// rd: stated by DeepSeek; by transformers as the fraction int(head_dim * factor), 64/512 unless it says otherwise.
int64_t read_rope_dims(const Fields& fields, const Config& config, bool transformers_form) {
  const int64_t high = std::min(config.head_dim, config.index_head_dim);
  int64_t dims = fields.integer_or("qk_rope_head_dim", 2, high, 0);
  std::string key = "qk_rope_head_dim";
  std::optional<double> factor;
  if (fields.find("partial_rotary_factor") != nullptr) {
    factor = fields.number("partial_rotary_factor", 0.0, 1.0);
  } else if (const json* parameters = fields.find("rope_parameters"); parameters != nullptr) {
    const Fields rope = fields.as_object("rope_parameters", *parameters);
    const json* main = rope.find("main");
    const Fields inner = main == nullptr ? rope : rope.as_object("main", *main);
    if (inner.find("partial_rotary_factor") != nullptr) factor = inner.number("partial_rotary_factor", 0.0, 1.0);
  }
  if (!factor && dims == 0 && transformers_form) factor = 64.0 / 512.0;
  if (factor) {
    const auto fraction = static_cast<int64_t>(static_cast<double>(config.head_dim) * *factor);
    if (dims != 0 && dims != fraction) {
      fields.refuse("qk_rope_head_dim", "found ", dims, ", but partial_rotary_factor ", *factor, " of head_dim ", config.head_dim, " is ",
                    fraction);
    }
    if (dims == 0) key = "partial_rotary_factor";
    dims = fraction;
  }
  if (!factor && dims == 0) fields.need("qk_rope_head_dim");
  if (dims < 2 || dims > high || dims % 2 != 0) {
    fields.refuse(key, "found ", dims, " rotated dimensions, expected an even number in 2..", high, " (head_dim ", config.head_dim,
                  ", index_head_dim ", config.index_head_dim, ")");
  }
  return dims;
}

/// The scaling that an object of rope fields states; nothing for type "default".
std::optional<YarnScaling> read_yarn(const Fields& rope) {
  const std::string key = rope.find("type") != nullptr ? "type" : "rope_type";
  const json* type = rope.find(key);
  if (type == nullptr) {
    if (rope.find("factor") != nullptr) rope.refuse("type", "missing, expected \"yarn\" or \"default\"");
    return std::nullopt;
  }
  const std::string name = rope.as_text(key, *type);
  if (name == "default") return std::nullopt;
  if (name != "yarn") rope.refuse(key, "found ", shown(*type), ", expected \"yarn\" or \"default\"");
  if (rope.number_or("attention_factor", -1e6, 1e6, 1.0) != 1.0) {
    rope.refuse("attention_factor", "found ", shown(rope.need("attention_factor")),
                ", expected 1: DeepSeek-V4 does not scale its rotations");
  }
  YarnScaling yarn;
  yarn.factor = rope.number("factor", 1.0, 1e6);
  yarn.original_max_position = rope.number("original_max_position_embeddings", 1.0, 1e12);
  yarn.beta_fast = rope.number_or("beta_fast", 1e-6, 1e6, 32.0);
  yarn.beta_slow = rope.number_or("beta_slow", 1e-6, 1e6, 1.0);
  if (yarn.beta_fast < yarn.beta_slow) {
    rope.refuse("beta_fast", "found ", yarn.beta_fast, ", expected at least beta_slow ", yarn.beta_slow);
  }
  return yarn;
}

bool same(const std::optional<YarnScaling>& a, const std::optional<YarnScaling>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->factor == b->factor && a->original_max_position == b->original_max_position && a->beta_fast == b->beta_fast &&
         a->beta_slow == b->beta_slow;
}

/// A base from its own field or from rope_parameters; both must agree.
double read_theta(const Fields& fields, const std::string& key, const std::optional<Fields>& rope, std::optional<double> fallback) {
  constexpr double kLow = 1.001, kHigh = 1e15;  // the frequencies divide by ln(theta)
  std::optional<double> stated;
  if (fields.find(key) != nullptr) stated = fields.number(key, kLow, kHigh);
  if (rope && rope->find("rope_theta") != nullptr) {
    const double inner = rope->number("rope_theta", kLow, kHigh);
    if (stated && *stated != inner) rope->refuse("rope_theta", "found ", inner, ", but ", key, " says ", *stated);
    stated = inner;
  }
  if (!stated) stated = fallback;
  return stated ? *stated : fields.number(key, kLow, kHigh);
}

void read_rope(const Fields& fields, Config& config) {
  std::optional<Fields> main, compress;
  std::optional<YarnScaling> of_scaling, of_parameters;
  const json* scaling = fields.find("rope_scaling");
  if (scaling != nullptr) of_scaling = read_yarn(fields.as_object("rope_scaling", *scaling));
  const json* parameters = fields.find("rope_parameters");
  if (parameters != nullptr) {
    const Fields rope = fields.as_object("rope_parameters", *parameters);
    if (rope.find("main") != nullptr || rope.find("compress") != nullptr) {
      main.emplace(rope.as_object("main", rope.need("main")));
      compress.emplace(rope.as_object("compress", rope.need("compress")));
      if (read_yarn(*main)) main->refuse("rope_type", "found \"yarn\", expected \"default\": only layers that compress are scaled");
      of_parameters = read_yarn(*compress);
    } else {
      of_parameters = read_yarn(rope);
      main.emplace(rope);
    }
  }
  if (scaling != nullptr && parameters != nullptr && !same(of_scaling, of_parameters)) {
    fields.refuse("rope_scaling", "found ", shown(*scaling), ", but rope_parameters says ", shown(*parameters));
  }
  config.yarn = scaling != nullptr ? of_scaling : of_parameters;
  config.rope_theta = read_theta(fields, "rope_theta", main, 10000.0);
  config.compress_rope_theta = read_theta(fields, "compress_rope_theta", compress, std::nullopt);
}

/// DSpark's stages are counted by the ratios beyond the layers': num_nextn_predict_layers is 1 in 0731, which has three.
void read_dspark(const Fields& fields, const json& ratios, Config& config) {
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  const json* targets = fields.find("dspark_target_layer_ids");
  if (fields.find("dspark_markov_rank") == nullptr || targets == nullptr || !ratios.is_array() || ratios.size() <= layers) return;
  if (ratios.size() - layers > kMaxStages) {
    fields.refuse("compress_ratios", "found ", ratios.size(), " entries, expected at most ", layers + kMaxStages, ": num_hidden_layers ",
                  layers, " and the draft stages");
  }
  const auto count = static_cast<int64_t>(fields.as_list("dspark_target_layer_ids", *targets).size());
  if (count < 1 || count > config.num_hidden_layers) {
    fields.refuse("dspark_target_layer_ids", "found ", count, " layers, expected 1 to num_hidden_layers ", config.num_hidden_layers);
  }
  Dspark dspark;
  for (size_t i = 0; i < targets->size(); ++i) {
    const int64_t least = i == 0 ? 0 : dspark.target_layers.back() + 1;  // ascending
    dspark.target_layers.push_back(
        fields.as_integer(concat("dspark_target_layer_ids[", i, "]"), (*targets)[i], least, config.num_hidden_layers - 1));
  }
  dspark.block_size = fields.integer("dspark_block_size", 1, kMaxDraftBlock);
  dspark.noise_token_id = fields.integer("dspark_noise_token_id", 0, config.vocab_size - 1);
  dspark.markov_rank = fields.integer("dspark_markov_rank", 1, kMaxDim);
  config.dspark = std::move(dspark);
}

/// DeepSeek's form: a ratio a layer, then one for each MTP block or draft stage (a missing one is 0).
std::vector<LayerConfig> layers_of_ratios(const Fields& fields, const Config& config, const json& list) {
  const std::string key = "compress_ratios";
  fields.as_list(key, list);
  const auto layers = static_cast<size_t>(config.num_hidden_layers);
  const auto all = config.dspark ? list.size() : static_cast<size_t>(config.num_hidden_layers + config.num_nextn_predict_layers);
  if (list.size() < layers) {
    fields.refuse(key, "found ", list.size(), " entries, expected at least num_hidden_layers ", layers);
  }
  std::vector<LayerConfig> result(all);
  for (size_t i = 0; i < list.size(); ++i) {
    const int64_t ratio = fields.as_integer(concat(key, "[", i, "]"), list[i], 0, kMaxRatio);
    if (i >= all) continue;
    result[i].compress_ratio = ratio;
    result[i].kind = ratio == 0 ? LayerKind::kSliding : ratio == 4 ? LayerKind::kCsa : LayerKind::kHca;
  }
  return result;
}

/// Transformers' form: a class a layer, and a rate a class.
std::vector<LayerConfig> layers_of_types(const Fields& fields, const Config& config, const json& list) {
  constexpr const char* kSlidingName = "sliding_attention";
  constexpr const char* kCsaName = "compressed_sparse_attention";
  constexpr const char* kHcaName = "heavily_compressed_attention";
  int64_t csa_rate = 4, hca_rate = 128;
  if (const json* rates = fields.find("compress_rates"); rates != nullptr) {
    const Fields by_class = fields.as_object("compress_rates", *rates);
    csa_rate = by_class.integer_or(kCsaName, 1, kMaxRatio, csa_rate);
    hca_rate = by_class.integer_or(kHcaName, 1, kMaxRatio, hca_rate);
  }
  const std::string key = "layer_types";
  fields.as_list(key, list);
  if (list.size() != static_cast<size_t>(config.num_hidden_layers)) {
    fields.refuse(key, "found ", list.size(), " entries, expected num_hidden_layers ", config.num_hidden_layers);
  }
  std::vector<LayerConfig> result(static_cast<size_t>(config.num_hidden_layers + config.num_nextn_predict_layers));
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string entry = concat(key, "[", i, "]");
    const std::string name = fields.as_text(entry, list[i]);
    if (name == kCsaName) {
      result[i] = {LayerKind::kCsa, csa_rate, false};
    } else if (name == kHcaName) {
      result[i] = {LayerKind::kHca, hca_rate, false};
    } else if (name != kSlidingName) {
      fields.refuse(entry, "found ", shown(list[i]), ", expected \"", kSlidingName, "\", \"", kCsaName, "\" or \"", kHcaName, "\"");
    }
  }
  return result;
}

void read_routing(const Fields& fields, Config& config) {
  const json* types = fields.find("mlp_layer_types");
  if (types == nullptr) {
    const int64_t hashed = fields.integer("num_hash_layers", 0, kMaxLayers);
    for (int64_t i = 0; i < std::min(hashed, config.num_hidden_layers); ++i) config.layers[static_cast<size_t>(i)].hash_routed = true;
    return;
  }
  const std::string key = "mlp_layer_types";
  fields.as_list(key, *types);
  if (types->size() != config.layers.size()) {
    fields.refuse(key, "found ", types->size(), " entries, expected num_hidden_layers ", config.layers.size());
  }
  const int64_t hashed = fields.integer_or("num_hash_layers", 0, kMaxLayers, -1);
  for (size_t i = 0; i < types->size(); ++i) {
    const std::string entry = concat(key, "[", i, "]");
    const std::string name = fields.as_text(entry, (*types)[i]);
    if (name != "hash_moe" && name != "moe") fields.refuse(entry, "found ", shown((*types)[i]), ", expected \"hash_moe\" or \"moe\"");
    config.layers[i].hash_routed = name == "hash_moe";
    if (hashed >= 0 && config.layers[i].hash_routed != (static_cast<int64_t>(i) < hashed)) {
      fields.refuse(entry, "found ", shown((*types)[i]), ", but num_hash_layers says ", hashed);
    }
  }
}

/// The portable program reads the raw rows of an overlapping compressor as chunks of the two widths' common divisor, whose numbers are 32-bit.
void check_pooling(const Fields& fields, const Config& config) {
  constexpr int64_t kCallRows = 1 << 16;  // tokens of a call, beside those of two blocks
  const int64_t divisor = std::gcd(config.head_dim, config.index_head_dim);
  const int64_t row_chunks = 4 * (config.head_dim + config.index_head_dim) / divisor;
  for (const LayerConfig& layer : config.layers) {
    if (layer.kind != LayerKind::kCsa || (2 * layer.compress_ratio + kCallRows) * row_chunks <= std::numeric_limits<int32_t>::max())
      continue;
    fields.refuse("index_head_dim", "found ", config.index_head_dim, ", whose largest divisor in common with head_dim ", config.head_dim,
                  " is ", divisor, "; expected a larger one");
  }
}

void read_layers(const Fields& fields, Config& config) {
  const json* ratios = fields.find("compress_ratios");
  const json* types = fields.find("layer_types");
  if (ratios == nullptr && types == nullptr) {
    fields.refuse("compress_ratios", "missing, and layer_types too; expected one of them: no default matches a released model");
  }
  if (types == nullptr) read_dspark(fields, *ratios, config);
  std::vector<LayerConfig> all = types != nullptr ? layers_of_types(fields, config, *types) : layers_of_ratios(fields, config, *ratios);
  if (types != nullptr && ratios != nullptr) {
    const std::vector<LayerConfig> other = layers_of_ratios(fields, config, *ratios);
    for (size_t i = 0; i < static_cast<size_t>(config.num_hidden_layers); ++i) {
      if (all[i].compress_ratio != other[i].compress_ratio) {
        fields.refuse(concat("compress_ratios[", i, "]"), "found ", other[i].compress_ratio, ", but layer_types and compress_rates say ",
                      all[i].compress_ratio);
      }
    }
  }
  const auto split = all.begin() + config.num_hidden_layers;
  config.layers.assign(all.begin(), split);
  check_pooling(fields, config);
  config.mtp_layers.assign(split, all.end());
  read_routing(fields, config);
}

void read_tokens(const Fields& fields, Config& config) {
  const int64_t last = config.vocab_size - 1;
  config.bos_token_id = fields.integer_or("bos_token_id", 0, last, 0);
  if (fields.is_null("eos_token_id")) {
    config.eos_token_ids.clear();
    return;
  }
  const json* eos = fields.find("eos_token_id");
  if (eos == nullptr) return;
  config.eos_token_ids.clear();
  if (!eos->is_array()) {
    config.eos_token_ids.push_back(fields.as_integer("eos_token_id", *eos, 0, last));
    return;
  }
  for (size_t i = 0; i < eos->size(); ++i) {
    config.eos_token_ids.push_back(fields.as_integer(concat("eos_token_id[", i, "]"), (*eos)[i], 0, last));
  }
}

}  // namespace

Config parse_config(std::string_view json_text, const std::string& where) {
  const json document = parse_json_object(json_text, where, kConfigFile);
  const Fields fields(document, where);
  Config config;
  refuse_foreign_config(fields);
  check_model_type(fields);
  check_fixed_choices(fields);
  read_sizes(fields, config);
  read_numbers(fields, config);
  check_fit(fields, config);
  config.qk_rope_head_dim = read_rope_dims(fields, config, fields.find("layer_types") != nullptr);
  read_rope(fields, config);
  read_layers(fields, config);
  read_tokens(fields, config);
  read_number_formats(fields, config);
  return config;
}

std::string read_config_text(const std::filesystem::path& file) { return read_named_file(file, kConfigFile); }

std::string read_directory_config_text(const std::filesystem::path& directory) {
  std::error_code ec;
  if (!std::filesystem::is_directory(directory, ec)) fail(path_text(directory), ": no such directory, expected a checkpoint directory");
  return read_small_file(directory / "config.json", kConfigFile);
}

Config read_config(const std::filesystem::path& directory) {
  return parse_config(read_directory_config_text(directory), path_text(directory / "config.json"));
}

}  // namespace dsv4
