// What an Engine holds: a model folder, read and compiled for one of the two programs.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/listed_files.h"
#include "dsv4/engine.h"
#include "graph/cpu/token_bytes.h"
#include "openvino/core/model.hpp"
#include "openvino/runtime/compiled_model.hpp"
#include "ops/attention/cache.h"
#include "runtime/fingerprint.h"

namespace dsv4 {

/// What a state of the portable program looks like, of one sequence.
struct StateForm {
  ov::element::Type type;
  ov::PartialShape shape;       ///< static but for growing_dim
  size_t growing_dim = 0;       ///< where positions_a_row > 0
  int64_t positions_a_row = 0;  ///< of a list that grows by a row for so many positions; 0: the shape is fixed
};

struct LoadedModel {
  std::filesystem::path folder;  ///< for messages
  EngineOptions options;         ///< program is never kAuto
  Config config;
  std::vector<int64_t> end_tokens;  ///< as read_end_tokens (checkpoint/end_tokens.h) has them
  bool stateful = true;
  int64_t static_length = 0;
  double open_seconds = 0.0;
  std::unique_ptr<const Fingerprint> fingerprint;
  std::map<std::string, StateForm> states;  ///< by name; of the portable program with state
  // The CPU program only:
  TokenBytes token_bytes;
  ops::CacheShape cache;
  ov::CompiledModel compiled;
  /// The CPU program for one token with logits. With shapes that are known the plugin need not infer them, which takes longer than a small model's arithmetic
  /// (it clones every op of its own for that).
  ov::CompiledModel one_token;
};

/// The IR of a folder that `dsv4 convert` wrote, constants mapped, not compiled. Error when a file is missing, is no IR, or is not the one that the folder's
/// dsv4_files.json lists: the .xml by its hash, the .bin by its size and the hash of its graph constants, which takes a moment.
std::shared_ptr<ov::Model> read_ir(const std::filesystem::path& folder);

/// UsageError for options that contradict each other, or for a device that OpenVINO does not have; before a folder is looked at.
void check_options(const EngineOptions& options);

/// For one inference at a time, in float32 whatever the CPU prefers.
ov::AnyMap compile_properties(const EngineOptions& options);

/// Compiles the folder's own graph: float32 whatever the CPU prefers, and activations never rounded to integers, so that results are the same everywhere.
void load_portable(LoadedModel& loaded, const std::shared_ptr<ov::Model>& ir, const std::filesystem::path& folder);

/// Builds and compiles the CPU program over the constants of the IR.
void load_cpu(LoadedModel& loaded, const std::shared_ptr<ov::Model>& ir, const std::filesystem::path& folder);

}  // namespace dsv4
