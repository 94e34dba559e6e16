// The small files of a model folder.
#include "convert/folder.h"

#include "checkpoint/cut.h"
#include "checkpoint/json_text.h"
#include "convert/embedded_files.h"
#include "convert/text_file.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

// Files of a checkpoint that the model folder carries on as they are.
constexpr const char* kCarriedFiles[] = {"tokenizer.json", "special_tokens_map.json", "chat_template.jinja", "LICENSE", "LICENSE.md",
                                         "LICENSE.txt"};

// optimum-intel's transformers does not know deepseek_v4 and finds the class by auto_map.
std::string config_json(const ConvertOptions& options) {
  const fs::path path = options.checkpoint / "config.json";
  Json json = read_json_object(path);
  if (options.layers >= 0) json = parse_json(first_layers(json_text(json), options.layers));
  json["auto_map"] = {{"AutoConfig", "configuration_deepseek_v4.DeepseekV4Config"}};
  return json_file_text(json);
}

std::string generation_config_json(const Config& config) {
  Json json;
  json["_from_model_config"] = true;
  json["bos_token_id"] = config.bos_token_id;
  json["eos_token_id"] = config.eos_token_ids.size() == 1 ? Json(config.eos_token_ids.front()) : Json(config.eos_token_ids);
  json["pad_token_id"] = config.eos_token_ids.empty() ? Json(nullptr) : Json(config.eos_token_ids.front());
  json["do_sample"] = true;  // this and the next two: what the releases publish
  json["temperature"] = 1.0;
  json["top_p"] = 1.0;
  return json_file_text(json);
}

// DeepSeek publishes special tokens as {"__type": "AddedToken", "content": ...}; GenAI's reader takes text only. Their other attributes are in
// tokenizer.json.
std::string tokenizer_config_json(const fs::path& path) {
  Json json = read_json_object(path);
  for (auto& [key, value] : json.items()) {
    if (key.ends_with("_token") && value.is_object() && value.contains("content") && value["content"].is_string())
      value = Json(value["content"]);
  }
  return json_file_text(json);
}

// optimum-intel's OVConfig: what the weights were made with, in the words of OVWeightQuantizationConfig.
std::string openvino_config_json(const CompressionOptions& c) {
  Json json;
  const std::string format = weight_format_name(c.format);
  json["dtype"] = format;
  json["input_info"] = nullptr;
  if (is_compressed(c.format)) {
    const bool int8 = c.format == WeightFormat::kInt8, int4 = c.format == WeightFormat::kInt4;
    Json q;
    q["bits"] = int8 ? 8 : 4;
    q["sym"] = c.format == WeightFormat::kMxfp4 || c.symmetric;
    q["group_size"] = int8 ? -1 : int4 ? c.group_size : 32;
    q["ratio"] = int4 ? c.ratio : 1.0;
    q["all_layers"] = int4 && c.all_layers ? Json(true) : Json(nullptr);
    q["backup_precision"] = int8 ? Json(nullptr) : Json(backup_precision_name(c.backup));
    q["group_size_fallback"] = int4 ? Json(group_size_fallback_name(c.fallback)) : Json(nullptr);
    q["dq_group_size"] = 0;  // as the model's rt_info says (convert/rt_info.h)
    q["quant_method"] = "default";
    q["dtype"] = format;
    q["dataset"] = nullptr;
    json["quantization_config"] = std::move(q);
  } else {
    json["quantization_config"] = nullptr;
  }
  json["save_onnx_model"] = false;
  return json_file_text(json);
}

bool has_chat_template(const fs::path& checkpoint) {
  if (fs::exists(checkpoint / "chat_template.jinja")) return true;
  const fs::path path = checkpoint / "tokenizer_config.json";
  if (!fs::exists(path)) return false;
  const Json json = read_json_object(path);
  const auto found = json.find("chat_template");
  return found != json.end() && !found->is_null();
}

}  // namespace

std::string transformers_version(const fs::path& checkpoint) {
  const Json json = read_json_object(checkpoint / "config.json");
  const auto found = json.find("transformers_version");
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

void write_folder_files(const ConvertOptions& options, const Checkpoint& checkpoint, const Config& config, const fs::path& directory) {
  const fs::path& source = checkpoint.directory();
  write_text(directory / "config.json", config_json(options));
  write_text(directory / "configuration_deepseek_v4.py", configuration_script());
  write_text(directory / "openvino_config.json", openvino_config_json(options.compression));
  if (const fs::path generation = source / "generation_config.json"; fs::exists(generation)) {
    read_json_object(generation);  // damaged, it would stop every client
    fs::copy_file(generation, directory / "generation_config.json", fs::copy_options::overwrite_existing);
  } else {
    write_text(directory / "generation_config.json", generation_config_json(config));
  }
  if (const fs::path tokenizer = source / "tokenizer_config.json"; fs::exists(tokenizer)) {
    write_text(directory / "tokenizer_config.json", tokenizer_config_json(tokenizer));
  }
  for (const char* name : kCarriedFiles) {
    if (fs::exists(source / name)) fs::copy_file(source / name, directory / name, fs::copy_options::overwrite_existing);
  }
  if (!has_chat_template(source)) write_text(directory / "chat_template.jinja", chat_template());
}

}  // namespace dsv4
