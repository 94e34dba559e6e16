// Marks of foreign forms in config.json and in the names of tensors.
#include "checkpoint/foreign_weights.h"

#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/names.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;

constexpr const char* kInstead = "take the release itself (FP8 and FP4), or BF16, NVFP4 or compressed-tensors W4A16 experts";
constexpr const char* kVision =
    "a vision release (Vision-Exp), and dsv4 runs text models; take the text release, such as DeepSeek-V4-Flash-0731";
constexpr const char* kMerge = "merge it into the model that it was trained on (merge_and_unload) and save that";

/// quant_method of config.json, and what made such weights.
struct Quantiser {
  const char* method;
  const char* name;
};

constexpr Quantiser kQuantisers[] = {
    {"awq", "AWQ"},
    {"gptq", "GPTQ"},
    {"gptqmodel", "GPTQ"},
    {"bitsandbytes", "bitsandbytes"},
    {"auto-round", "AutoRound"},
    {"hqq", "HQQ"},
    {"aqlm", "AQLM"},
    {"eetq", "EETQ"},
    {"torchao", "torchao"},
    {"intel/auto-round", "AutoRound"},
    {"quanto", "Quanto"},
    {"quip", "QuIP#"},
    {"spqr", "SpQR"},
    {"vptq", "VPTQ"},
    {"fbgemm_fp8", "FBGEMM"},
    {"exl2", "ExLlamaV2"},
    {"exl3", "ExLlamaV3"},
    {"higgs", "HIGGS"},
    {"bitnet", "BitNet"},
    {"quark", "AMD Quark"},
};

void refuse_quantiser(const Fields& config) {
  // MLX writes the same object under both names, without a method.
  const json* mlx = config.find("quantization");
  const json* own = config.find("quantization_config");
  for (const json* value : {mlx, own}) {
    if (value == nullptr || !value->is_object() || value->contains("quant_method") || !value->contains("group_size") ||
        !value->contains("bits"))
      continue;
    config.refuse(value == mlx ? "quantization" : "quantization_config", "found ", shown(*value),
                  ": weights quantised by MLX are not read; ", kInstead);
  }
  if (own == nullptr || !own->is_object()) return;
  const auto method = own->find("quant_method");
  if (method == own->end() || !method->is_string()) return;
  for (const Quantiser& known : kQuantisers) {
    if (method->get<std::string>() == known.method) {
      config.refuse("quantization_config.quant_method", "found ", shown(*method), ": weights quantised by ", known.name, " are not read; ",
                    kInstead);
    }
  }
}

/// Of DeepSeek-V4 alone: other models are refused by their model_type.
void refuse_vision(const Fields& config) {
  std::string words;
  const json *type = config.find("model_type"), *architectures = config.find("architectures");
  if (type != nullptr && type->is_string()) words = lower_case(type->get<std::string>());
  if (!words.empty() && words.find("deepseek_v4") == words.npos) return;
  if (architectures != nullptr && architectures->is_array() && !architectures->empty() && architectures->front().is_string()) {
    words += concat(" ", lower_case(architectures->front().get<std::string>()));
  }
  for (const char* word : {"vision", "_vl", "v4vl", "multimodal"}) {
    if (words.find(word) != words.npos) config.refuse("model_type", "found ", quote(words), ": ", kVision);
  }
  for (const char* key : {"vision_config", "vit_config", "vision", "vision_tower", "aligner_config", "projector_config"}) {
    if (config.find(key) != nullptr) config.refuse(key, "is there: ", kVision);
  }
}

/// What the name of a tensor says of who wrote it; nothing for all other names.
struct Mark {
  std::string_view part;
  bool at_end;
  const char* line;
};

constexpr Mark kMarks[] = {
    {".lora_A.", false, "belongs to a LoRA adapter"},
    {".lora_B.", false, "belongs to a LoRA adapter"},
    {".qweight", true, "is packed by GPTQ or AWQ"},
    {".qzeros", true, "is packed by GPTQ or AWQ"},
    {".g_idx", true, "is packed by GPTQ"},
    {".biases", true, "is quantised by MLX (.scales, .biases)"},
    {".scales", true, "is quantised by MLX (.scales, .biases)"},
    {".absmax", true, "is quantised by bitsandbytes"},
    {".quant_state.", false, "is quantised by bitsandbytes"},
    {".SCB", true, "is quantised by bitsandbytes"},
    {".trellis", true, "is quantised by ExLlamaV3"},
    {".q_invperm", true, "is quantised by ExLlamaV2"},
};

bool is_vision_name(std::string_view name) {
  if (name.starts_with("model.")) name.remove_prefix(6);
  if (name.ends_with(".gate.bias_vl")) return true;
  for (const std::string_view prefix : {"vision", "visual.", "vit.", "aligner.", "projector.", "multi_modal_projector.", "image_newline"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

/// "base_model.model." of "base_model.model.layers.0...": the part in front of a name of DeepSeek's or transformers'.
std::optional<std::string_view> wrapper_of(std::string_view name) {
  constexpr int kMostParts = 4;
  size_t dot = 0;
  for (int parts = 0; parts < kMostParts; ++parts) {
    dot = name.find('.', dot);
    if (dot == name.npos) return std::nullopt;
    const std::optional<ResolvedName> inner = resolve_name(name.substr(++dot));
    if (inner && !inner->name.starts_with("mtp.")) return name.substr(0, dot);
  }
  return std::nullopt;
}

void refuse_name(const SafetensorsFile& file, const std::string& name) {
  const auto refuse = [&](const auto&... parts) { fail(path_text(file.path()), ": tensor ", quote(name), " ", parts...); };
  for (const Mark& mark : kMarks) {
    const bool has = mark.at_end ? name.ends_with(mark.part) : name.find(mark.part) != name.npos;
    if (has) refuse(mark.line, "; ", mark.part.starts_with(".lora") ? kMerge : kInstead);
  }
  if (is_vision_name(name)) refuse("is of ", kVision);
  if (name.starts_with("base_model.")) refuse("begins with \"base_model.model.\", as names of a model with an adapter do (PEFT); ", kMerge);
  if (const std::optional<std::string_view> wrapper = wrapper_of(name))
    refuse("begins with ", quote(*wrapper),
           ", which is of neither DeepSeek's nor transformers' names; save the model without what wraps it");
}

/// Experts of a layer by the rows of its router.
struct Routers {
  const SafetensorsFile* file = nullptr;
  std::string name;
  int64_t layer = 0, experts = 0;
};

void compare_routers(const SafetensorsFile& file, const std::string& stored, const TensorEntry& entry, const std::string& name,
                     Routers& first) {
  const std::optional<int64_t> layer = layer_number(name);
  if (!layer || !name.ends_with(".ffn.gate.weight") || entry.shape.size() != 2) return;
  if (first.file == nullptr) {
    first = {&file, stored, *layer, entry.shape[0]};
    return;
  }
  if (entry.shape[0] == first.experts) return;
  fail(path_text(file.path()), ": tensor ", quote(stored), " routes to ", entry.shape[0], " experts, that of layer ", first.layer, " to ",
       first.experts, ": a pruned model with unequal numbers of experts, which is not read; take the release that it was made from");
}

}  // namespace

void refuse_foreign_config(const Fields& config) {
  refuse_vision(config);
  refuse_quantiser(config);
  if (const json* experts = config.find("n_routed_experts"); experts != nullptr && experts->is_array()) {
    config.refuse("n_routed_experts", "found ", shown(*experts),
                  ": a pruned model with unequal numbers of experts, which is not read; take the release that it was made from");
  }
}

void refuse_foreign_tensors(const FileSet& files) {
  Routers routers;
  for (const auto& file : files.files) {
    for (const auto& [stored, entry] : file->header().tensors) {
      if (is_ignored_buffer(stored)) continue;
      const std::optional<ResolvedName> resolved = resolve_name(stored);
      if (resolved) {
        compare_routers(*file, stored, entry, resolved->name, routers);
      } else {
        refuse_name(*file, stored);
      }
    }
  }
}

}  // namespace dsv4
