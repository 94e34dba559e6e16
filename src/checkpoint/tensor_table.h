// The tensors of a DeepSeek-V4 checkpoint as data: name, published type and shape as functions of the config, layer by layer.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/dtype.h"
#include "formats/number_format.h"

namespace dsv4 {

/// One logical tensor. `shape` is the logical shape: FP4 [out, in] although it is stored as I8 [out, in/2].
struct TensorSpec {
  std::string name;        ///< DeepSeek's name, e.g. "layers.0.attn.wq_a.weight"; scales are not listed: scale_name(name) is theirs
  NumberFormat published;  ///< FP8 and FP4 weights come with a `.scale` tensor next to them
  Shape shape;
  bool mtp = false;  ///< belongs to mtp.*: recognised, checked, not converted
};

/// One stored tensor (what a safetensors header lists).
struct ShardSpec {
  std::string name;
  DType dtype;
  Shape shape;
};

/// Every logical tensor that the config implies, in model order: embed, layers 0.., head (norm, hc_head, head), then mtp.* (NextN blocks or DSpark's stages).
/// Experts come expert by expert: experts.0.w1, .w2, .w3, experts.1.w1, ...
std::vector<TensorSpec> tensor_table(const Config& config);

/// The same as stored in the releases: FP8 as F8_E4M3 + F8_E8M0 scale of ceil blocks, FP4 as I8 + F8_E8M0 scale a row and 32 inputs.
std::vector<ShardSpec> shard_tensors(const Config& config, const TensorSpec& spec);

/// "X.weight" -> "X.scale".
std::string scale_name(const std::string& weight_name);

}  // namespace dsv4
