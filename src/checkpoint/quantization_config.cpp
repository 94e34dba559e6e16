// Reads expert_dtype and quantization_config.
#include "checkpoint/quantization_config.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "checkpoint/quote.h"

namespace dsv4 {
namespace {

using nlohmann::json;

constexpr int64_t kMaxBlock = 1 << 20;
constexpr const char* kWhatToTake = "take the model as DeepSeek published it, or its NVFP4 or compressed-tensors W4A16 form";

struct Alias {
  const char* stated;
  const char* name;
};

// What configs call a format -> as Config::expert_dtype has it.
constexpr Alias kExpertTypes[] = {
    {"fp4", "fp4"},           {"mxfp4", "fp4"},       {"float4_e2m1fn", "fp4"}, {"float4_e2m1fn_x2", "fp4"},
    {"nvfp4", "nvfp4"},       {"int4", "int4"},       {"fp8", "fp8"},           {"float8", "fp8"},
    {"float8_e4m3fn", "fp8"}, {"float8_e4m3", "fp8"}, {"bf16", "bf16"},         {"bfloat16", "bf16"},
    {"f16", "f16"},           {"fp16", "f16"},        {"float16", "f16"},       {"f32", "f32"},
    {"fp32", "f32"},          {"float32", "f32"},
};
constexpr const char* kE4m3Names[] = {"e4m3", "e4m3fn", "float8_e4m3fn", "float8_e4m3"};

void read_expert_type(const Fields& fields, Config& config) {
  const json* experts = fields.find("expert_dtype");
  if (experts == nullptr) return;
  const std::string stated = lower_case(fields.as_text("expert_dtype", *experts));
  const auto known =
      std::find_if(std::begin(kExpertTypes), std::end(kExpertTypes), [&](const Alias& alias) { return stated == alias.stated; });
  if (known == std::end(kExpertTypes)) {
    fields.refuse("expert_dtype", "found ", shown(*experts), ", expected \"fp4\", \"fp8\" or \"bf16\"");
  }
  config.expert_dtype = known->name;
  const auto check_groups = [&](const char* key, int64_t size) {
    if (size % 32 != 0) fields.refuse(key, "found ", size, ", expected a multiple of 32: FP4 experts have a scale per 32 inputs");
  };
  if (config.expert_dtype == "fp4") {
    check_groups("hidden_size", config.hidden_size);
    check_groups("moe_intermediate_size", config.moe_intermediate_size);
  }
}

/// [rows, columns] of the blocks that share a scale.
void read_block(const Fields& fields, const std::string& key, const json& block, Config& config) {
  if (fields.as_list(key, block).size() != 2) fields.refuse(key, "found ", shown(block), ", expected two integers");
  config.fp8_block_rows = fields.as_integer(key + "[0]", block[0], 1, kMaxBlock);
  config.fp8_block_cols = fields.as_integer(key + "[1]", block[1], 1, kMaxBlock);
}

void read_fp8(const Fields& quant, Config& config) {
  if (const json* fmt = quant.find("fmt"); fmt != nullptr) {
    const std::string stated = lower_case(quant.as_text("fmt", *fmt));
    if (std::find(std::begin(kE4m3Names), std::end(kE4m3Names), stated) == std::end(kE4m3Names)) {
      quant.refuse("fmt", "found ", shown(*fmt), ", expected \"e4m3\": no other FP8 format is published");
    }
  }
  if (const json* block = quant.find("weight_block_size"); block != nullptr) read_block(quant, "weight_block_size", *block, config);
}

/// ModelOpt's names of what the linear layers and the experts are in. AWQ divides the inputs by factors that the weights were multiplied with.
void check_modelopt(const Fields& quant) {
  for (const char* key : {"quant_algo", "moe_quant_algo"}) {
    const json* algorithm = quant.find(key);
    if (algorithm == nullptr) continue;
    const std::string stated = lower_case(quant.as_text(key, *algorithm));
    const bool known =
        stated == "nvfp4" || stated == "mixed_precision" || stated == "mxfp4" || stated.starts_with("fp8") || stated == "w4a16_nvfp4";
    if (!known) quant.refuse(key, "found ", shown(*algorithm), ", expected \"NVFP4\" or \"MIXED_PRECISION\"; ", kWhatToTake);
  }
}

/// block_structure: [128, 128], or "128x128" of older versions.
void read_block_structure(const Fields& weights, const json& block, Config& config) {
  const std::string key = "block_structure";
  if (!block.is_string()) return read_block(weights, key, block, config);
  const std::string text = block.get<std::string>();
  const size_t cross = text.find('x');
  const auto number = [&](size_t begin, size_t end) -> int64_t {
    int64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, value);
    if (error != std::errc() || stop != text.data() + end || value < 1 || value > kMaxBlock) {
      weights.refuse(key, "found ", shown(block), ", expected two integers");
    }
    return value;
  };
  if (cross == std::string::npos) weights.refuse(key, "found ", shown(block), ", expected two integers");
  config.fp8_block_rows = number(0, cross);
  config.fp8_block_cols = number(cross + 1, text.size());
}

/// Symmetric integers, unless it says otherwise.
bool is_symmetric(const Fields& weights) {
  const json* symmetric = weights.find("symmetric");
  if (symmetric == nullptr) return true;
  if (!symmetric->is_boolean()) weights.refuse("symmetric", "found ", shown(*symmetric), ", expected true or false");
  return symmetric->get<bool>();
}

/// One entry of config_groups: what some of the weights are in.
void read_group_weights(const Fields& weights, Config& config) {
  const json* type = weights.find("type");
  const std::string kind = type == nullptr ? "int" : lower_case(weights.as_text("type", *type));
  const int64_t bits = weights.integer_or("num_bits", 1, 64, 8);
  const json* strategy = weights.find("strategy");
  const std::string sharing = strategy == nullptr ? "" : lower_case(weights.as_text("strategy", *strategy));
  const bool grouped = sharing.empty() ? weights.find("group_size") != nullptr : sharing == "group" || sharing == "tensor_group";
  const int64_t group = grouped ? weights.integer_or("group_size", -1, kMaxBlock, -1) : -1;
  if (group == 0) weights.refuse("group_size", "found 0, expected 1 or more, or -1 for whole rows");
  if (kind == "int") {
    if (bits != 4) weights.refuse("num_bits", "found ", bits, ", expected 4 for type \"int\"; ", kWhatToTake);
    if (sharing == "block")
      weights.refuse("strategy", "found \"block\", expected \"group\" or \"channel\" for type \"int\"; ", kWhatToTake);
    config.int4_groups.push_back({group, is_symmetric(weights)});
  } else if (kind == "float") {
    if (bits != 4 && bits != 8) weights.refuse("num_bits", "found ", bits, ", expected 4 or 8 for type \"float\"; ", kWhatToTake);
    if (bits == 4 && group != 16 && group != 32) {
      weights.refuse("group_size", "found ", group, ", expected 16 (NVFP4) or 32 (MXFP4) for 4-bit floats; ", kWhatToTake);
    }
    const json* block = weights.find("block_structure");
    if (bits == 8 && block != nullptr) read_block_structure(weights, *block, config);
  } else {
    weights.refuse("type", "found ", shown(*type), ", expected \"int\" or \"float\"");
  }
}

void read_compressed_tensors(const Fields& quant, Config& config) {
  constexpr const char* kFormats[] = {"pack-quantized",  "nvfp4-pack-quantized", "mxfp4-pack-quantized", "float-quantized",
                                      "naive-quantized", "mixed-precision",      "int-quantized",        "dense"};
  const auto check_format = [&](const Fields& object) {
    const json* format = object.find("format");
    if (format == nullptr) return;
    const std::string stated = object.as_text("format", *format);
    if (std::find(std::begin(kFormats), std::end(kFormats), stated) == std::end(kFormats)) {
      object.refuse("format", "found ", shown(*format), ", expected \"pack-quantized\", \"nvfp4-pack-quantized\" or \"float-quantized\"; ",
                    kWhatToTake);
    }
  };
  check_format(quant);
  if (const json* sparsity = quant.find("sparsity_config"); sparsity != nullptr) {
    const Fields sparse = quant.as_object("sparsity_config", *sparsity);
    sparse.text_must_be("format", "dense", concat("weights with structured zeros cannot be read; ", kWhatToTake));
  }
  if (const json* transform = quant.find("transform_config"); transform != nullptr && !transform->empty()) {
    const Fields rotations = quant.as_object("transform_config", *transform);
    if (const json* groups = rotations.find("config_groups"); groups == nullptr || !groups->empty()) {
      quant.refuse("transform_config", "found ", shown(*transform),
                   ", expected none: the weights are rotated, and so would the inputs have to be; ", kWhatToTake);
    }
  }
  const json* groups = quant.find("config_groups");
  if (groups == nullptr) return;
  quant.as_object("config_groups", *groups);
  for (const auto& [name, value] : groups->items()) {
    const std::string key = concat("config_groups.", excerpt(name));
    if (value.is_array()) continue;  // the name of a preset and its targets
    const Fields group = quant.as_object(key, value);
    check_format(group);
    if (const json* weights = group.find("weights"); weights != nullptr) read_group_weights(group.as_object("weights", *weights), config);
  }
}

}  // namespace

void read_number_formats(const Fields& fields, Config& config) {
  read_expert_type(fields, config);
  const json* quantization = fields.find("quantization_config");
  if (quantization == nullptr) return;
  const Fields quant = fields.as_object("quantization_config", *quantization);
  const json* method = quant.find("quant_method");
  const std::string name = method == nullptr ? "fp8" : lower_case(quant.as_text("quant_method", *method));
  if (name == "compressed-tensors") return read_compressed_tensors(quant, config);
  if (name != "fp8" && name != "modelopt") {
    quant.refuse("quant_method", "found ", shown(*method), ", expected \"fp8\", \"compressed-tensors\" or \"modelopt\"; ", kWhatToTake);
  }
  check_modelopt(quant);
  read_fp8(quant, config);
}

}  // namespace dsv4
