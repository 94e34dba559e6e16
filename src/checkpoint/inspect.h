// What a checkpoint is, as data: for `dsv4 inspect` and for tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace dsv4 {

struct InspectedFile {
  std::string name;    ///< without the directory
  uint64_t bytes = 0;  ///< of the file, header included
  uint64_t tensors = 0;
};

/// What drafts tokens (docs/model.md, sections 2.13 and 2.14).
struct InspectedDraft {
  DraftKind kind = DraftKind::kNone;
  int64_t blocks = 0;  ///< NextN blocks or DSpark stages
  uint64_t tensors = 0;
  uint64_t bytes = 0;  ///< of tensor data, scales included
};

struct InspectReport {
  std::string directory;
  std::string model;  ///< "V4-Flash", "V4-Pro" (by their dimensions) or "custom"
  Config config;
  int64_t sliding_layers = 0;
  int64_t csa_layers = 0;
  int64_t hca_layers = 0;
  int64_t hash_routed_layers = 0;
  int64_t parameters = 0;                            ///< numbers in the main model's weights; hash tables, scales and mtp.* are not counted
  int64_t active_parameters = 0;                     ///< of them, those that one token uses: num_experts_per_tok of the routed experts
  std::map<std::string, uint64_t> tensors_by_dtype;  ///< as stored, mtp.* included
  std::map<std::string, uint64_t> bytes_by_dtype;
  uint64_t tensors = 0;
  uint64_t bytes = 0;                         ///< of tensor data
  std::vector<std::string> expert_encodings;  ///< "FP4", "FP8", "BF16", ...: usually one
  std::string naming;                         ///< "DeepSeek", "transformers" or "mixed"
  std::vector<InspectedFile> files;
  InspectedDraft draft;
  std::vector<std::string> notices;
};

/// "V4-Flash" or "V4-Pro" by its dimensions, else "custom"; layers do not count, so that a model cut to its first layers keeps its name.
std::string model_name(const Config& config);

/// Reads no weights: an open checkpoint has been checked already.
InspectReport inspect_checkpoint(const Checkpoint& checkpoint);

}  // namespace dsv4
