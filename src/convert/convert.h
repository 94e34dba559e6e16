// From a checkpoint to an OpenVINO model folder, tensor by tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/plan.h"

namespace dsv4 {

struct ConvertOptions {
  std::filesystem::path checkpoint;
  std::filesystem::path output;  ///< directory to create; appears under this name only when complete
  WeightFormat format = WeightFormat::kFp32;
  bool stateful = true;
  int64_t layers = -1;                                          ///< only the first N layers; -1: all
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< bytes of the .bin; may be empty
  std::function<void(const std::string&)> notice;               ///< lines for the user; may be empty
};

struct ConvertReport {
  uint64_t constants = 0;         ///< in the .bin, those of the graph aside
  uint64_t checkpoint_bytes = 0;  ///< of the tensors read
  uint64_t bin_bytes = 0;
  uint64_t xml_bytes = 0;
  double seconds = 0.0;
};

/// Writes openvino_model.xml, openvino_model.bin, config.json and, where the checkpoint has them, generation_config.json and the tokenizer's files.
/// Holds a few megabytes a thread whatever the model's size. Error when the output exists, the disk is too small (checked before the first byte), a
/// value does not fit float16, or the checkpoint is not what its config says; nothing stays under the final name then.
ConvertReport convert(const ConvertOptions& options);

/// What convert would do: the same checks and sizes, nothing written.
ConvertReport plan_conversion(const ConvertOptions& options);

}  // namespace dsv4
