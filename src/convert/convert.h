// From a checkpoint to an OpenVINO model folder, tensor by tensor.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/errors.h"
#include "convert/weight_format.h"
#include "dsv4/precision.h"
#include "graph/portable/portable.h"

namespace dsv4 {

/// The CPU program as an IR of dsv4's ops, for clients that load libdsv4_ops.so, instead of the portable program.
struct ClientProgram {
  ActivationRounding activations = ActivationRounding::kInt8;
  CachePrecision cache = CachePrecision::kBF16;
};

struct ConvertOptions {
  std::filesystem::path checkpoint;
  std::filesystem::path output;  ///< directory to create; appears under this name only when complete
  CompressionOptions compression;
  bool overwrite = false;  ///< the output may be a model folder that dsv4 made: the new one replaces it when it is complete
  std::optional<ClientProgram> cpu_program;  ///< nothing: the portable program; then `stateful`, `experts` and `static_shape` count
  bool stateful = true;
  bool tokenizer = true;  ///< openvino_tokenizer and openvino_detokenizer, where there is a tokenizer.json
  ExpertForm experts = ExpertForm::kGrouped;
  std::optional<StaticShape> static_shape;                      ///< of the prefill-only form
  int64_t layers = -1;                                          ///< only the first N layers; -1: all
  std::function<void(uint64_t done, uint64_t total)> progress;  ///< bytes of the .bin; may be empty
  std::function<void(uint64_t done, uint64_t total)>
      check_progress;                              ///< bytes read again before an interrupted conversion goes on; may be empty
  std::function<void(const std::string&)> notice;  ///< lines for the user; may be empty
  const std::atomic<bool>* stop = nullptr;         ///< becomes true when the conversion is to be interrupted; may be null
  uint64_t record_bytes = 1u << 30;                ///< written between two records of what is finished
  uint64_t direct_bytes = 1u << 28;  ///< a .bin of so many or more is written past the page cache, and such a checkpoint read so
};

/// What becomes of the tensors of one published type in one stored form.
struct FormSummary {
  std::string published;  ///< "FP4", "FP8", "BF16", ... as in the checkpoint
  std::string stored;     ///< "u4, groups of 128", ...
  uint64_t tensors = 0;
  uint64_t bytes_read = 0;  ///< scales included
  uint64_t bytes_written = 0;
  double read_per_second = 0.0;  ///< plan_conversion: checkpoint bytes read and converted on all cores, measured on a sample
};

struct ConvertReport {
  uint64_t weights = 0;           ///< stored in the .bin
  uint64_t checkpoint_bytes = 0;  ///< of the tensors read
  uint64_t bin_bytes = 0;
  uint64_t xml_bytes = 0;
  std::vector<FormSummary> forms;
  double seconds = 0.0;  ///< of convert; of plan_conversion: expected, without the writing
};

/// Writes openvino_model.xml, openvino_model.bin, config.json and, where the checkpoint has them, generation_config.json, the tokenizer's files and the
/// tokenizer models that are made from them, and dsv4_files.json, which lists them. The same checkpoint and options give the same bytes.
/// Holds a few megabytes a thread, and of a large model some 150 MB on the way past the page cache, whatever its size. An output that is an empty folder, a mount
/// point or a link to a folder stays that, and gets the
/// files. Error when the output exists otherwise, the disk is too small (checked before the first byte), or the checkpoint is not what its config says; BadInput when
/// a value does not fit its form or the checkpoint changes meanwhile: nothing stays then. Whatever else ends it leaves what is finished in OUTPUT.partial (in an output
/// that is there, model.partial), where the next call with the same checkpoint and options goes on.
ConvertReport convert(const ConvertOptions& options);

/// What convert would do: the same checks and sizes, nothing written.
ConvertReport plan_conversion(const ConvertOptions& options);

}  // namespace dsv4
