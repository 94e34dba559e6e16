// rt_info of the model.
#include "convert/rt_info.h"

#include "checkpoint/model_fields.h"
#include "dsv4/error.h"
#include "openvino/core/version.hpp"

namespace dsv4 {

namespace {

// nncf.CompressWeightsMode
std::string nncf_mode(const CompressionOptions& o) {
  if (o.format == WeightFormat::kMxfp4) return "mxfp4";
  return weight_format_name(o.format) + (o.symmetric ? "_sym" : "_asym");
}

void add_nncf_info(ov::Model& model, const CompressionOptions& o) {
  const bool int4 = o.format == WeightFormat::kInt4;
  const auto set = [&](const std::string& name, const std::string& value) { model.set_rt_info(value, "nncf", "weight_compression", name); };
  const auto truth = [](bool value) { return std::string(value ? "True" : "False"); };
  model.set_rt_info(std::string("True"), "nncf", "friendly_names_were_updated");
  model.set_rt_info(std::string("3.4.0"), "nncf", "version");  // whose arithmetic and layout of constants this is
  set("mode", nncf_mode(o));
  set("group_size", concat(int4 ? o.group_size : o.format == WeightFormat::kMxfp4 ? 32 : -1));
  set("ratio", concat(int4 ? o.ratio : 1.0));
  set("all_layers", truth(int4 && o.all_layers));
  set("backup_mode", backup_precision_name(o.backup));
  set("sensitivity_metric", "weight_quantization_error");
  set("advanced_parameters",
      concat("{'group_size_fallback_mode': '", group_size_fallback_name(o.fallback), "', 'min_adjusted_group_size': 32}"));
  set("compression_format", "dequantize");
  for (const char* unused : {"awq", "gptq", "lora_correction", "scale_estimation"}) set(unused, "False");
  model.set_rt_info(std::string("0"), "runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE");
}

}  // namespace

void add_rt_info(ov::Model& model, const Config& config, const CompressionOptions& options, const std::string& transformers_version) {
  model.set_rt_info(std::string(ov::get_openvino_version().buildNumber), "OpenVINO Runtime");
  model.set_rt_info(std::string(DSV4_VERSION), "dsv4", "version");
  model.set_rt_info(describe(options), "dsv4", "weight_format");
  for (const ModelField& field : model_fields(config)) model.set_rt_info(field.value, "dsv4", "config", field.name);
  // Without this field optimum-intel 2.2.0 trips over the section, so it is there or there is no section.
  if (!transformers_version.empty()) model.set_rt_info(transformers_version, "optimum", "transformers_version");
  if (is_compressed(options.format)) add_nncf_info(model, options);
}

void add_program_info(ov::Model& model, const ClientProgram& program) {
  const auto set = [&](const std::string& name, const std::string& value) { model.set_rt_info(value, "dsv4", name); };
  set("program", "cpu");
  set("activations", program.activations == ActivationRounding::kInt8 ? "int8" : "f32");
  set("cache", program.cache == CachePrecision::kBF16 ? "bf16" : "f32");
}

}  // namespace dsv4
