// The layout of openvino_model.bin.
#include "convert/plan.h"

#include "dsv4/error.h"
#include "graph/weights.h"

namespace dsv4 {

namespace {

constexpr uint64_t kAlignment = 64;         // a cache line, and every SIMD width
constexpr uint64_t kStackAlignment = 4096;  // a page: experts are prefetched and dropped page by page

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

ov::element::Type stored_type(const TensorSpec& spec, WeightFormat format) {
  if (spec.published == Published::kI64) return ov::element::i32;  // expert ids
  // Published in float32, or a norm: never trained to be coarse, and too small to matter.
  if (spec.published == Published::kF32 || spec.shape.size() < 2) return ov::element::f32;
  return format == WeightFormat::kFp16 ? ov::element::f16 : ov::element::f32;
}

bool is_routed_expert(const std::string& name) { return name.find(".ffn.experts.") != std::string::npos; }

ov::Shape to_ov_shape(const Shape& shape) { return ov::Shape(shape.begin(), shape.end()); }

}  // namespace

WeightFormat parse_weight_format(const std::string& text) {
  if (text == "fp32") return WeightFormat::kFp32;
  if (text == "fp16") return WeightFormat::kFp16;
  if (text == "int8" || text == "int4" || text == "mxfp4") {
    throw UsageError(concat("--weight-format ", text, ": not in this version, which writes fp32 and fp16"));
  }
  throw UsageError(concat("--weight-format ", text, ": unknown; expected fp32 or fp16"));
}

std::string weight_format_name(WeightFormat format) { return format == WeightFormat::kFp16 ? "fp16" : "fp32"; }

const PlannedConstant& StoragePlan::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail("the graph asks for the weight ", name, ", which the tensor table does not have");
  return constants[found->second];
}

StoragePlan plan_storage(const Config& config, const std::vector<TensorSpec>& table, WeightFormat format) {
  StoragePlan plan;
  const auto add = [&](PlannedConstant constant, uint64_t alignment) {
    constant.offset = align_up(plan.bytes, alignment);
    constant.bytes = ov::shape_size(constant.shape) * constant.type.size();
    plan.bytes = constant.offset + constant.bytes;
    if (!plan.index_.emplace(constant.name, plan.constants.size()).second) fail("the tensor table names ", constant.name, " twice");
    plan.constants.push_back(std::move(constant));
  };

  for (const TensorSpec& spec : table) {
    if (!spec.mtp && !is_routed_expert(spec.name)) {
      add({spec.name, stored_type(spec, format), to_ov_shape(spec.shape), 0, 0, {spec.name}}, kAlignment);
    }
  }
  const size_t experts = static_cast<size_t>(config.n_routed_experts), d = static_cast<size_t>(config.hidden_size);
  const size_t width = static_cast<size_t>(config.moe_intermediate_size);
  const ov::element::Type type = format == WeightFormat::kFp16 ? ov::element::f16 : ov::element::f32;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    std::vector<std::string> gate_up, down;
    for (size_t e = 0; e < experts; ++e) {
      const std::string prefix = concat("layers.", layer, ".ffn.experts.", e, ".");
      gate_up.insert(gate_up.end(), {prefix + "w1.weight", prefix + "w3.weight"});
      down.push_back(prefix + "w2.weight");
    }
    add({stacked_gate_up_name(layer), type, {experts, 2 * width, d}, 0, 0, std::move(gate_up)}, kStackAlignment);
    add({stacked_down_name(layer), type, {experts, d, width}, 0, 0, std::move(down)}, kStackAlignment);
  }
  return plan;
}

}  // namespace dsv4
