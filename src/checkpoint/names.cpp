// The name table and its two directions.
#include "checkpoint/names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

struct Pair {
  std::string_view deepseek;
  std::string_view transformers;
};

// Outside the layers; transformers' come after "model.", but for lm_head. Parameters are whole names, modules have leaves.
constexpr Pair kGlobal[] = {
    {"hc_head_fn", "hc_head.hc_fn"},
    {"hc_head_base", "hc_head.hc_base"},
    {"hc_head_scale", "hc_head.hc_scale"},
};
constexpr Pair kGlobalModules[] = {
    {"embed", "embed_tokens"},
    {"head", "lm_head"},
    {"norm", "norm"},
};

// Parameters of a layer, after "layers.N.". Block names are DeepSeek's (attn, ffn) on both sides: transformers' self_attn and mlp are put
// in later.
constexpr Pair kParameters[] = {
    {"hc_attn_fn", "attn_hc.fn"},
    {"hc_attn_base", "attn_hc.base"},
    {"hc_attn_scale", "attn_hc.scale"},
    {"hc_ffn_fn", "ffn_hc.fn"},
    {"hc_ffn_base", "ffn_hc.base"},
    {"hc_ffn_scale", "ffn_hc.scale"},
    {"attn.attn_sink", "attn.sinks"},
    {"attn.compressor.ape", "attn.compressor.position_bias"},
    {"attn.indexer.compressor.ape", "attn.compressor.indexer.position_bias"},
    {"ffn.gate.bias", "ffn.gate.e_score_correction_bias"},
    {"ffn.gate.tid2eid", "ffn.gate.tid2eid"},
};

// Modules of a layer: they have a ".weight" and perhaps a ".scale".
constexpr Pair kModules[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn.wq_a", "attn.q_a_proj"},
    {"attn.q_norm", "attn.q_a_norm"},
    {"attn.wq_b", "attn.q_b_proj"},
    {"attn.wkv", "attn.kv_proj"},
    {"attn.kv_norm", "attn.kv_norm"},
    {"attn.wo_a", "attn.o_a_proj"},
    {"attn.wo_b", "attn.o_b_proj"},
    {"attn.compressor.wkv", "attn.compressor.kv_proj"},
    {"attn.compressor.wgate", "attn.compressor.gate_proj"},
    {"attn.compressor.norm", "attn.compressor.kv_norm"},
    {"attn.indexer.wq_b", "attn.compressor.indexer.q_b_proj"},
    {"attn.indexer.weights_proj", "attn.compressor.indexer.scorer.weights_proj"},
    {"attn.indexer.compressor.wkv", "attn.compressor.indexer.kv_proj"},
    {"attn.indexer.compressor.wgate", "attn.compressor.indexer.gate_proj"},
    {"attn.indexer.compressor.norm", "attn.compressor.indexer.kv_norm"},
    {"ffn.gate", "ffn.gate"},
    {"ffn.shared_experts.w1", "ffn.shared_experts.gate_proj"},
    {"ffn.shared_experts.w2", "ffn.shared_experts.down_proj"},
    {"ffn.shared_experts.w3", "ffn.shared_experts.up_proj"},
};

// Further spellings that are read but never written: what releases save otherwise than they name it, the indexer beside the compressor, or its projection
// without "scorer".
constexpr Pair kOlderParameters[] = {
    {"attn.indexer.compressor.ape", "attn.indexer.position_bias"},
};
constexpr Pair kOlderModules[] = {
    {"attn.kv_norm", "attn.norm"},  // transformers 5.15 and later save every norm that they call kv_norm so
    {"attn.indexer.weights_proj", "attn.compressor.indexer.weights_proj"},
    {"attn.indexer.weights_proj", "attn.indexer.scorer.weights_proj"},
    {"attn.indexer.wq_b", "attn.indexer.q_b_proj"},
    {"attn.indexer.compressor.wkv", "attn.indexer.kv_proj"},
    {"attn.indexer.compressor.wgate", "attn.indexer.gate_proj"},
    {"attn.indexer.compressor.norm", "attn.indexer.kv_norm"},
};

constexpr std::array<Pair, 3> kExpertMatrices = {{{"w1", "gate_proj"}, {"w2", "down_proj"}, {"w3", "up_proj"}}};
constexpr Pair kStacked[] = {{"w13", "gate_up_proj"}, {"w2", "down_proj"}};

constexpr std::string_view kModelPrefix = "model.";
constexpr std::string_view kLayersPrefix = "layers.";
constexpr std::string_view kMtpPrefix = "mtp.";
constexpr std::string_view kExpertsPrefix = "ffn.experts.";
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kScale = ".scale";
constexpr std::string_view kScaleInv = ".weight_scale_inv";
constexpr std::string_view kStackedScaleInv = "_scale_inv";

// What a module's name is followed by: a weight, and what its values come from where they are stored in fewer bits.
struct Leaf {
  std::string_view stored;
  std::string_view deepseek;
};
constexpr Leaf kLeaves[] = {
    {kWeight, kWeight},
    {kScale, kScale},
    {kScaleInv, kScale},
    {".weight_scale", kScale},
    {kPackedLeaf, kPackedLeaf},
    {kSecondScaleLeaf, kSecondScaleLeaf},
    {kGlobalScaleLeaf, kGlobalScaleLeaf},
    {kZeroPointLeaf, kZeroPointLeaf},
    {kShapeLeaf, kShapeLeaf},
    {kGroupIndexLeaf, kGroupIndexLeaf},
};

// Parts of a quantised model that no weight comes from: how it rounds activations and its cache, which is not done here.
constexpr std::string_view kActivationLeaves[] = {
    "input_scale", "input_global_scale", "input_zero_point", "output_scale", "output_global_scale", "output_zero_point", "k_scale",
    "v_scale",     "kv_scale",
};

using Table = std::unordered_map<std::string_view, std::string_view>;

/// Every accepted spelling -> DeepSeek's.
template <class... Lists>
Table spellings(const Lists&... lists) {
  Table table;
  const auto add = [&](const auto& list) {
    for (const Pair& pair : list) {
      table.emplace(pair.deepseek, pair.deepseek);
      table.emplace(pair.transformers, pair.deepseek);
    }
  };
  (add(lists), ...);
  return table;
}

std::optional<std::string_view> lookup(const Table& table, std::string_view key) {
  const auto found = table.find(key);
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

bool consume_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool consume_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

/// A number without sign or leading zeros, at the start of `text`.
std::optional<int64_t> consume_number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || digits == 0 || text[0] == '-' || (text[0] == '0' && digits > 1)) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

/// A leaf in DeepSeek's spelling, or in that of the tool alone that has such, taken off the end of `text`.
std::optional<std::string_view> consume_leaf(std::string_view& text) {
  for (const Leaf& leaf : kLeaves) {
    if (consume_suffix(text, leaf.stored)) return leaf.deepseek;
  }
  return std::nullopt;
}

/// "3.gate_proj.weight" -> "3.w1.weight"; "gate_up_proj" -> "w13.weight".
std::optional<std::string> resolve_expert(std::string_view rest) {
  consume_prefix(rest, ".");  // transformers 5.8 saves "experts..3.w1.weight"
  std::string_view numbered = rest;
  if (const std::optional<int64_t> expert = consume_number(numbered)) {
    const std::optional<std::string_view> leaf = consume_leaf(numbered);
    if (!leaf || !consume_prefix(numbered, ".")) return std::nullopt;
    for (const Pair& matrix : kExpertMatrices) {
      if (numbered == matrix.deepseek || numbered == matrix.transformers) return concat(*expert, ".", matrix.deepseek, *leaf);
    }
    return std::nullopt;
  }
  const bool scale = consume_suffix(rest, kScaleInv) || consume_suffix(rest, kStackedScaleInv) || consume_suffix(rest, kScale);
  for (const Pair& stacked : kStacked) {
    if (rest == stacked.transformers) return concat(stacked.deepseek, scale ? kScale : kWeight);
  }
  return std::nullopt;
}

/// What follows "layers.N.", in DeepSeek's spelling.
std::optional<std::string> resolve_in_layer(std::string_view rest) {
  static const Table parameters = spellings(kParameters, kOlderParameters);
  static const Table modules = spellings(kModules, kOlderModules);
  std::string normal;
  if (consume_prefix(rest, "self_attn.")) {
    normal = concat("attn.", rest);
  } else if (consume_prefix(rest, "mlp.")) {
    normal = concat("ffn.", rest);
  } else {
    normal = rest;
  }
  std::string_view name = normal;
  if (const auto parameter = lookup(parameters, name)) return std::string(*parameter);
  if (consume_prefix(name, kExpertsPrefix)) {
    const std::optional<std::string> expert = resolve_expert(name);
    return expert ? std::optional(concat(kExpertsPrefix, *expert)) : std::nullopt;
  }
  const std::optional<std::string_view> leaf = consume_leaf(name);
  const std::optional<std::string_view> module = leaf ? lookup(modules, name) : std::nullopt;
  return module ? std::optional(concat(*module, *leaf)) : std::nullopt;
}

std::optional<std::string> resolve(std::string_view name) {
  static const Table global = spellings(kGlobal), modules = spellings(kGlobalModules);
  consume_prefix(name, kModelPrefix);
  if (const auto found = lookup(global, name)) return std::string(*found);
  std::string_view base = name;
  const std::optional<std::string_view> leaf = consume_leaf(base);
  if (name.starts_with(kMtpPrefix)) return leaf ? concat(base, *leaf) : std::string(name);
  if (const auto module = leaf ? lookup(modules, base) : std::nullopt) return concat(*module, *leaf);
  std::string_view rest = name;
  if (!consume_prefix(rest, kLayersPrefix)) return std::nullopt;
  const std::optional<int64_t> layer = consume_number(rest);
  if (!layer || !consume_prefix(rest, ".")) return std::nullopt;
  const std::optional<std::string> inside = resolve_in_layer(rest);
  return inside ? std::optional(concat(kLayersPrefix, *layer, ".", *inside)) : std::nullopt;
}

template <size_t N>
std::optional<std::string_view> forward(const Pair (&pairs)[N], std::string_view deepseek) {
  for (const Pair& pair : pairs) {
    if (pair.deepseek == deepseek) return pair.transformers;
  }
  return std::nullopt;
}

/// What follows "layers.N." in transformers' spelling, still with the blocks attn and ffn.
std::optional<std::string> forward_in_layer(std::string_view rest) {
  if (const auto parameter = forward(kParameters, rest)) return std::string(*parameter);
  std::string_view module = rest;
  const std::optional<std::string_view> leaf = consume_leaf(module);
  if (leaf != kWeight && leaf != kScale) return std::nullopt;
  const std::string_view new_leaf = *leaf == kScale ? kScaleInv : kWeight;
  if (const auto found = forward(kModules, module)) return concat(*found, new_leaf);
  if (!consume_prefix(module, kExpertsPrefix)) return std::nullopt;
  if (const auto stacked = forward(kStacked, module)) return concat(kExpertsPrefix, *stacked, *leaf == kScale ? kStackedScaleInv : "");
  const std::optional<int64_t> expert = consume_number(module);
  if (!expert || !consume_prefix(module, ".")) return std::nullopt;
  for (const Pair& matrix : kExpertMatrices) {
    if (module == matrix.deepseek) return concat(kExpertsPrefix, *expert, ".", matrix.transformers, new_leaf);
  }
  return std::nullopt;
}

/// A name without its leaf.
std::string_view stem(std::string_view name) { return name.substr(0, name.rfind('.')); }

/// N of prefix + "N.X".
std::optional<int64_t> number_after(std::string_view prefix, std::string_view name) {
  if (!consume_prefix(name, prefix)) return std::nullopt;
  const std::optional<int64_t> number = consume_number(name);
  return number && name.starts_with('.') ? number : std::nullopt;
}

}  // namespace

std::optional<ResolvedName> resolve_name(std::string_view stored) {
  std::optional<std::string> name = resolve(stored);
  if (!name) return std::nullopt;
  NameScheme scheme = NameScheme::kTransformers;
  if (name->starts_with(kMtpPrefix) || (stored == "norm.weight")) {
    scheme = NameScheme::kEither;
  } else if (stem(*name) == stem(stored) && !stored.ends_with(kScaleInv)) {  // what a tool calls a leaf says nothing about the module
    scheme = NameScheme::kDeepSeek;
  }
  return ResolvedName{std::move(*name), scheme};
}

std::string transformers_name(std::string_view deepseek) {
  if (deepseek.starts_with(kMtpPrefix)) return std::string(deepseek);
  if (const auto global = forward(kGlobal, deepseek)) return concat(kModelPrefix, *global);
  std::string_view rest = deepseek;
  if (consume_suffix(rest, kWeight)) {
    if (const auto module = forward(kGlobalModules, rest)) return concat(*module == "lm_head" ? "" : kModelPrefix, *module, kWeight);
  }
  rest = deepseek;
  if (consume_prefix(rest, kLayersPrefix)) {
    const std::optional<int64_t> layer = consume_number(rest);
    const std::optional<std::string> inside = layer && consume_prefix(rest, ".") ? forward_in_layer(rest) : std::nullopt;
    if (inside) {
      std::string_view tail = *inside;
      const std::string_view block = consume_prefix(tail, "attn.") ? "self_attn." : consume_prefix(tail, "ffn.") ? "mlp." : "";
      return concat(kModelPrefix, kLayersPrefix, *layer, ".", block, tail);
    }
  }
  fail("tensor ", quote(deepseek), " is not one of DeepSeek-V4's names");
}

std::optional<ExpertName> parse_expert_name(std::string_view deepseek) {
  const size_t at = deepseek.find(kExpertsPrefix);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = deepseek.substr(at + kExpertsPrefix.size());
  const std::optional<int64_t> expert = consume_number(rest);
  const std::optional<std::string_view> leaf = consume_leaf(rest);
  if (!expert || !leaf || rest.size() != 3 || rest[0] != '.' || rest[1] != 'w' || rest[2] < '1' || rest[2] > '3') return std::nullopt;
  return ExpertName{deepseek.substr(0, at + kExpertsPrefix.size()), *expert, rest[2] - '0', *leaf};
}

std::string gate_up_stack_name(std::string_view block) { return concat(block, ".ffn.experts.w1w3.weight"); }

std::string down_stack_name(std::string_view block) { return concat(block, ".ffn.experts.w2.weight"); }

std::string constant_name(const std::string& weight) {
  const std::optional<ExpertName> expert = parse_expert_name(weight);
  if (!expert) return weight;
  return expert->matrix == 2 ? down_stack_name(expert->block()) : gate_up_stack_name(expert->block());
}

std::optional<int64_t> layer_number(std::string_view deepseek) { return number_after(kLayersPrefix, deepseek); }
std::optional<int64_t> mtp_number(std::string_view deepseek) { return number_after(kMtpPrefix, deepseek); }

bool is_ignored_buffer(std::string_view stored) {
  consume_prefix(stored, kModelPrefix);
  const std::string_view leaf = stored.substr(stored.rfind('.') + 1);
  return stored.starts_with("rotary_emb.") || leaf == "inv_freq" ||
         std::find(std::begin(kActivationLeaves), std::end(kActivationLeaves), leaf) != std::end(kActivationLeaves);
}

}  // namespace dsv4
