// Tensor names: DeepSeek's published ones and those of transformers, with the spellings of its older versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

enum class NameScheme {
  kDeepSeek,      ///< "layers.0.attn.wq_a.weight"
  kTransformers,  ///< "model.layers.0.self_attn.q_a_proj.weight", or any spelling that is not DeepSeek's
  kEither,        ///< tells nothing about the others: "norm.weight", "mtp.*"
};

/// What names of weights in fewer bits end in beside ".weight" and ".scale", in the tools' own spelling: DeepSeek has none.
inline constexpr std::string_view kPackedLeaf = ".weight_packed";             ///< compressed-tensors: 4-bit codes
inline constexpr std::string_view kSecondScaleLeaf = ".weight_scale_2";       ///< NVIDIA's NVFP4: a factor of all scales
inline constexpr std::string_view kGlobalScaleLeaf = ".weight_global_scale";  ///< compressed-tensors' NVFP4: a divisor of all scales
inline constexpr std::string_view kZeroPointLeaf = ".weight_zero_point";
inline constexpr std::string_view kShapeLeaf = ".weight_shape";
inline constexpr std::string_view kGroupIndexLeaf = ".weight_g_idx";

/// A stored name in DeepSeek's terms.
struct ResolvedName {
  std::string
      name;  ///< DeepSeek's name; stacked experts: "layers.N.ffn.experts.w13.weight" ([E, 2I, D]) and ".w2.weight" ([E, D, I]), or ".scale"
  NameScheme scheme = NameScheme::kEither;
};

/// What a stored name means; nothing for a name of neither scheme. Beyond the two schemes it knows: names with and without the prefix
/// "model.", `.weight_scale_inv` and `.weight_scale` for `.scale`, the leaves above, experts stacked or one by one, what releases of transformers save
/// otherwise than they name it ("attn.norm", "experts..3.w1"), q_norm for q_a_norm, the indexer outside the compressor, weights_proj without scorer, and
/// half-renamed names such as "self_attn.attn_sink".
std::optional<ResolvedName> resolve_name(std::string_view stored);

/// The name that transformers gives a DeepSeek name, e.g. "model.layers.0.self_attn.q_a_proj.weight"; scales end in `.weight_scale_inv`.
/// A single expert, which transformers only has stacked, comes out as "model.layers.0.mlp.experts.3.gate_proj.weight"; mtp.* is left as
/// it is. Error for a name that is not DeepSeek's.
std::string transformers_name(std::string_view deepseek);

/// A routed expert's tensor taken apart.
struct ExpertName {
  std::string_view prefix;  ///< "layers.0.ffn.experts."
  int64_t expert = 0;
  int matrix = 1;         ///< 1, 2 or 3: w1 (gate), w2 (down), w3 (up)
  std::string_view leaf;  ///< ".weight", ".scale" or one of those above

  std::string_view block() const { return prefix.substr(0, prefix.find(".ffn.experts.")); }  ///< "layers.0"
};

/// "layers.0.ffn.experts.3.w1.weight" (or another leaf), a DeepSeek name; nothing for other tensors.
std::optional<ExpertName> parse_expert_name(std::string_view deepseek);

/// The constants of a model folder that hold all routed experts of a block ("layers.3"): gate and up rows of one expert together, [E, 2I, D]
/// ("layers.3.ffn.experts.w1w3.weight"), and down, [E, D, I] ("layers.3.ffn.experts.w2.weight").
std::string gate_up_stack_name(std::string_view block);
std::string down_stack_name(std::string_view block);
/// The constant that holds a weight: the stack of an expert's matrix, any other by its own name.
std::string constant_name(const std::string& weight);

/// N of "layers.N.", nothing for other names.
std::optional<int64_t> layer_number(std::string_view deepseek);
/// N of "mtp.N.X".
std::optional<int64_t> mtp_number(std::string_view deepseek);

/// What is saved with the weights and no weight comes from: rotary tables, and how a quantised model rounds activations and its cache ("input_scale").
bool is_ignored_buffer(std::string_view stored);

}  // namespace dsv4
