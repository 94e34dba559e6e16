// What an Engine holds: a model folder, read and compiled for one of the two programs.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "dsv4/engine.h"
#include "graph/cpu/token_bytes.h"
#include "openvino/core/partial_shape.hpp"
#include "openvino/runtime/compiled_model.hpp"
#include "ops/attention/cache.h"
#include "runtime/cpu_steps.h"
#include "runtime/fingerprint.h"
#include "runtime/streamed_experts.h"

namespace dsv4 {

/// Tokens of a prompt that go through an inference together. Where experts come from the drive each of them is read once for so many.
constexpr int64_t kPromptChunk = 512, kPromptChunkFromDrive = 2048;

/// What a state of the portable program looks like, of one sequence.
struct StateForm {
  ov::element::Type type;
  ov::PartialShape shape;       ///< static but for growing_dim
  size_t growing_dim = 0;       ///< where positions_a_row > 0
  int64_t positions_a_row = 0;  ///< of a list that grows by a row for so many positions; 0: the shape is fixed
};

struct Engine::Model {
  std::filesystem::path folder;  ///< for messages
  EngineOptions options;         ///< program is never kAuto
  Config config;
  std::vector<int64_t> end_tokens;  ///< as read_end_tokens (checkpoint/end_tokens.h) has them
  bool stateful = true;
  bool cpu_only = false;  ///< the folder's IR is the CPU program for clients (convert --program cpu)
  int64_t static_length = 0;
  double open_seconds = 0.0;
  std::unique_ptr<const Fingerprint> fingerprint;
  ov::CompiledModel compiled;
  // The portable program with state only:
  std::map<std::string, StateForm> states;  ///< by name
  // The CPU program only:
  std::unique_ptr<StreamedExperts> experts;  ///< kStream only
  TokenBytes token_bytes;
  ops::CacheShape cache;
  std::unique_ptr<CpuSteps> steps;
};

}  // namespace dsv4
