// The metadata at the head of a model card, by which the Hugging Face hub files an upload.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "convert/convert.h"
#include "convert/small_files.h"

namespace dsv4 {

/// YAML between two lines "---": license, base_model, base_model_relation, library, task and tags. The licence is told from the checkpoint's licence file, the
/// base model from where the checkpoint lies, its config.json or its dimensions; what is a guess says so in a comment.
std::string hub_metadata(const ConvertOptions& options, const Checkpoint& checkpoint, const SmallFiles& files);

}  // namespace dsv4
