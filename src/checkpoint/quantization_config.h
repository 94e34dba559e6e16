// The parts of a config.json that say how its weights are quantised: DeepSeek's own, NVIDIA ModelOpt's and compressed-tensors'.
#pragma once

#include "checkpoint/config.h"
#include "checkpoint/json_fields.h"

namespace dsv4 {

/// Reads expert_dtype and quantization_config into `config`, whose sizes are there already. The tensors decide what they are; this takes what they
/// cannot say (blocks of FP8 scales, groups of INT4 codes) and refuses what changes the model's arithmetic beside its weights, or has no reader here.
void read_number_formats(const Fields& fields, Config& config);

}  // namespace dsv4
