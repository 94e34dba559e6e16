// The config values that a converted model depends on, by name: its IR states them, and whoever runs it compares them with config.json.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/config.h"

namespace dsv4 {

struct ModelField {
  std::string name;   ///< as DeepSeek's config.json has it; the parts of rope_scaling as "rope_scaling.factor"
  std::string value;  ///< numbers in the shortest form that reads back as the same number, lists separated by commas
  std::string also;   ///< what else states it in config.json, for messages; may be empty
};

/// Every field by which the logits of a sequence change, the layers' kinds among them; two configs make the same model from the same weights if and only if
/// these are equal. Not among them: limits (max_position_embeddings), special tokens, MTP blocks, number formats of the checkpoint, and fields that may
/// have one value only.
std::vector<ModelField> model_fields(const Config& config);

}  // namespace dsv4
