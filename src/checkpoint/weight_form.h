// How a weight is stored, decided by the dtypes and shapes of its tensors: plain floats, FP8, FP4, NVFP4 or INT4, under any label that means the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace dsv4 {

/// A tensor of some file under its DeepSeek name.
struct ShardTensor {
  std::string name;
  const std::string* stored_name;  ///< the key in the file's header
  const TensorEntry* entry;
  const SafetensorsFile* file;
  bool used = false;

  /// "FILE: tensor "NAME"": the start of every message about it.
  std::string where() const;
  /// As its file spells it.
  std::string dtype_text() const;
};

/// The tensors of one weight; nullptr: not there.
struct WeightTensors {
  const ShardTensor* weight = nullptr;  ///< values or codes: ".weight", or ".weight_packed"
  bool packed = false;                  ///< ".weight_packed"
  bool stacked = false;                 ///< one tensor with all experts
  const ShardTensor* scale = nullptr;
  const ShardTensor* global_scale = nullptr;  ///< one factor or divisor of all scales: ".weight_scale_2" or ".weight_global_scale"
  const ShardTensor* zero_point = nullptr;
};

/// A tensor as its file has it, and as a TensorView shows it: without its label, of a scale [rows, columns].
struct ShardPart {
  Shape stored;
  Shape shape;
  DType dtype = DType::kF32;
};

struct WeightForm {
  Encoding encoding = Encoding::kF32;
  ShardPart weight;
  std::optional<ShardPart> scale;
  int64_t scale_rows = 1, scale_cols = 1;  ///< rows and inputs that share a scale
  std::optional<ShardPart> zero_point;     ///< [rows of words, groups]
};

/// The form of `spec`, of one expert where the tensors are stacked; `stored` shapes are then without the experts' dim. Whether the tensors have these
/// shapes is for the caller to check. Error that begins with the file and the tensor: no form has these dtypes, a part is missing.
WeightForm weight_form(const Config& config, const TensorSpec& spec, const WeightTensors& tensors);

/// "FP8", "FP4", "BF16", ...
std::string_view encoding_name(Encoding encoding);

}  // namespace dsv4
