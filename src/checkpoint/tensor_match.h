// The tensor table held against what the files hold: every tensor found whatever its spelling, type and shape checked, nothing left over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/file_set.h"

namespace dsv4 {

struct MatchedTensor {
  TensorView weight;
  std::unique_ptr<TensorView> scale;  ///< FP8 and FP4 only
  Encoding encoding = Encoding::kF32;
};

struct MatchResult {
  std::vector<TensorSpec> table;       ///< without mtp.*
  std::vector<MatchedTensor> tensors;  ///< one for each entry of the table
  std::vector<std::string> notices;
  std::string naming;  ///< "DeepSeek", "transformers" or "mixed"
};

/// Throws Error naming file and tensor: missing, one weight under two names, wrong dtype or shape, scale missing, of a wrong
/// shape or not finite (F32 scales), hash table entries outside [0, n_routed_experts), tensors that the config does not describe.
MatchResult match_tensors(const Config& config, const FileSet& files, const std::filesystem::path& directory);

/// "FP8", "FP4", "BF16", ...
std::string_view encoding_name(Encoding encoding);

}  // namespace dsv4
