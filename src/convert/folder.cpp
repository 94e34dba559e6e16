// The small files of a model folder.
#include "convert/folder.h"

#include <cmath>

#include "checkpoint/cut.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/json_text.h"
#include "checkpoint/quote.h"
#include "convert/carried_fields.h"
#include "convert/embedded_files.h"
#include "dsv4/error.h"

namespace dsv4 {

using Json = nlohmann::ordered_json;

namespace {

// Files of a checkpoint that the model folder carries on as they are.
constexpr const char* kCarriedFiles[] = {"tokenizer.json", "chat_template.jinja", "LICENSE", "LICENSE.md", "LICENSE.txt"};

Json parse_file(const SmallFiles& files, const char* name) {
  constexpr JsonFile kKind = {"JSON file", "one of a checkpoint's JSON files", 16u << 20};
  return parse_ordered_json_object(*files.find(name), path_text(files.directory() / name), kKind);
}

// A JSON file of the checkpoint with the fields that are carried on.
struct CarriedJson {
  CarriedJson(const ConvertOptions& options, const SmallFiles& files, const char* name) : json(parse_file(files, name)) {
    const std::vector<std::string> others = keep_known_fields(name, json);
    // As the checkpoint has it, where nothing is left out.
    text = others.empty() ? *files.find(name) : json_file_text(json);
    if (others.empty() || !options.notice) return;
    options.notice(concat(path_text(files.directory() / name), ": ", others.size(),
                          " field(s) that are not known are not carried on, first ", quote(others.front())));
  }

  Json json;
  std::string text;
};

// A number as config files have it: 16, not 16.0.
Json plain_number(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

// int(head_dim * factor), by which transformers counts rotated dimensions, gives qk_rope_head_dim.
double rotary_factor(const Config& config) {
  const auto head = static_cast<double>(config.head_dim);
  const double factor = static_cast<double>(config.qk_rope_head_dim) / head;
  return static_cast<int64_t>(head * factor) == config.qk_rope_head_dim ? factor : std::nextafter(factor, 1.0);
}

// What transformers 5.17 and later write. Releases that do not know the architecture leave it alone; `rope_scaling` they standardise, and fail in
// AutoTokenizer for want of a field that only the architecture's class has (5.5).
Json rope_parameters(const Config& config) {
  Json main = {{"rope_type", "default"}, {"rope_theta", plain_number(config.rope_theta)}, {"partial_rotary_factor", rotary_factor(config)}};
  Json compress = main;
  compress["rope_theta"] = plain_number(config.compress_rope_theta);
  if (config.yarn) {
    compress["rope_type"] = "yarn";
    compress["factor"] = plain_number(config.yarn->factor);
    compress["original_max_position_embeddings"] = plain_number(config.yarn->original_max_position);
    compress["beta_fast"] = plain_number(config.yarn->beta_fast);
    compress["beta_slow"] = plain_number(config.yarn->beta_slow);
    compress["attention_factor"] = 1.0;
  }
  return {{"main", std::move(main)}, {"compress", std::move(compress)}};
}

// optimum-intel's transformers does not know deepseek_v4 and finds the class by auto_map. How the checkpoint's weights were quantised is not said of these: clients
// that read it would dequantise or refuse them.
std::string config_json(const ConvertOptions& options, const SmallFiles& files, const Config& config) {
  Json json = CarriedJson(options, files, "config.json").json;
  if (options.layers >= 0) json = parse_json(first_layers(json_text(json), options.layers));
  for (const char* field : {"quantization_config", "compression_config", "rope_scaling"}) json.erase(field);
  json["rope_parameters"] = rope_parameters(config);
  json["auto_map"] = {{"AutoConfig", "configuration_deepseek_v4.DeepseekV4Config"}};
  return json_file_text(json);
}

std::string generation_config_json(const Config& config) {
  Json json;
  json["_from_model_config"] = true;
  json["bos_token_id"] = config.bos_token_id;
  if (!config.eos_token_ids.empty()) {
    json["eos_token_id"] = config.eos_token_ids.size() == 1 ? Json(config.eos_token_ids.front()) : Json(config.eos_token_ids);
    json["pad_token_id"] = config.eos_token_ids.front();
  }
  json["do_sample"] = true;  // this and the next two: what the releases publish
  json["temperature"] = 1.0;
  json["top_p"] = 1.0;
  return json_file_text(json);
}

// DeepSeek publishes special tokens as {"__type": "AddedToken", "content": ...}; GenAI's reader takes text only. Their other attributes are in
// tokenizer.json. A batch is padded on the left, where positions below 0 show it; on the right nothing tells pads from tokens.
std::string tokenizer_config_json(Json json) {
  for (auto& [key, value] : json.items()) {
    if (key.ends_with("_token") && value.is_object() && value.contains("content") && value["content"].is_string())
      value = Json(value["content"]);
  }
  const auto is_text = [&](const char* key) { return json.contains(key) && json[key].is_string(); };
  json["padding_side"] = "left";
  if (!is_text("pad_token") && is_text("eos_token")) json["pad_token"] = json["eos_token"];
  // transformers 5 saves the name of a class that 4 does not know; both know this one. Without a name they would look for the model's class.
  if (!is_text("tokenizer_class") || json["tokenizer_class"] == "TokenizersBackend") json["tokenizer_class"] = "PreTrainedTokenizerFast";
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

// The embedded one is the original release's; one line of it says so.
std::string chat_template_of(ChatRelease release) {
  constexpr std::string_view kOriginal = "set release = 'original'";
  std::string text(chat_template());
  const size_t at = text.find(kOriginal);
  if (at == std::string::npos) fail("the chat template does not name its release; this is a mistake in dsv4");
  return text.replace(at, kOriginal.size(), concat("set release = '", release_name(release), "'"));
}

}  // namespace

std::string transformers_version(const std::string& config_text) {
  const Json json = parse_json(config_text);
  const auto found = json.find("transformers_version");
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<FolderFile> folder_files(const ConvertOptions& options, const SmallFiles& files, const Config& config, ChatRelease release) {
  std::vector<FolderFile> made = {{"config.json", config_json(options, files, config)},
                                  {"configuration_deepseek_v4.py", std::string(configuration_script())},
                                  {"openvino_config.json", openvino_config_json(options.compression)}};
  if (files.find("generation_config.json")) {  // damaged, it would stop every client
    made.push_back({"generation_config.json", CarriedJson(options, files, "generation_config.json").text});
  } else {
    made.push_back({"generation_config.json", generation_config_json(config)});
  }
  bool chat_template_inside = false;
  if (files.find("tokenizer_config.json")) {
    const Json tokenizer = CarriedJson(options, files, "tokenizer_config.json").json;
    chat_template_inside = tokenizer.contains("chat_template") && !tokenizer["chat_template"].is_null();
    made.push_back({"tokenizer_config.json", tokenizer_config_json(tokenizer)});
  }
  if (files.find("special_tokens_map.json")) {
    made.push_back({"special_tokens_map.json", CarriedJson(options, files, "special_tokens_map.json").text});
  }
  for (const char* name : kCarriedFiles) {
    const std::string* bytes = files.find(name);
    if (!bytes) continue;
    // Damaged JSON would stop clients too; tokenizer.json is read anyway where tokenizer models are made of it.
    const std::string where = path_text(files.directory() / name);
    if (where.ends_with(".json") && !(options.tokenizer && where.ends_with("/tokenizer.json"))) {
      parse_json_object(*bytes, where, {"JSON file", "one of a checkpoint's JSON files", 32u << 20});
    }
    made.push_back({name, *bytes});
  }
  if (!chat_template_inside && !files.find("chat_template.jinja")) made.push_back({"chat_template.jinja", chat_template_of(release)});
  return made;
}

}  // namespace dsv4
