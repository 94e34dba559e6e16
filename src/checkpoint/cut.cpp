// The first N layers of a model.
#include "checkpoint/cut.h"

#include <algorithm>

#include "checkpoint/json_text.h"
#include "dsv4/error.h"

namespace dsv4 {

Config first_layers(Config config, int64_t layers) {
  if (layers < 1 || layers > config.num_hidden_layers) {
    fail("--layers ", layers, ": the model has ", config.num_hidden_layers, " layers; expected 1 to ", config.num_hidden_layers);
  }
  config.num_hidden_layers = layers;
  config.layers.resize(static_cast<size_t>(layers));
  config.num_nextn_predict_layers = 0;
  config.mtp_layers.clear();
  config.dspark.reset();
  return config;
}

std::string first_layers(std::string_view config_json, int64_t layers) {
  nlohmann::ordered_json json = parse_json(config_json);
  json["num_hidden_layers"] = layers;
  json["num_nextn_predict_layers"] = 0;
  for (const char* field : {"dspark_block_size", "dspark_markov_rank", "dspark_noise_token_id", "dspark_target_layer_ids"})
    json.erase(field);
  // Lists with an entry a layer; DeepSeek's goes on with those of the MTP blocks or draft stages.
  for (const char* list : {"compress_ratios", "layer_types", "mlp_layer_types"}) {
    if (json.contains(list) && json[list].is_array() && json[list].size() > static_cast<size_t>(layers)) {
      json[list].erase(json[list].begin() + layers, json[list].end());
    }
  }
  if (json.contains("num_hash_layers") && json["num_hash_layers"].is_number_integer()) {
    json["num_hash_layers"] = std::min(json["num_hash_layers"].get<int64_t>(), layers);
  }
  return json_file_text(json);
}

}  // namespace dsv4
