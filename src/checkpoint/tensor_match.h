// The tensor table held against what the files hold: every tensor found whatever its spelling, type and shape checked, nothing left over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/file_set.h"
#include "checkpoint/weight_form.h"

namespace dsv4 {

struct MatchedTensor {
  TensorView weight;
  std::unique_ptr<TensorView> scale;         ///< FP8, FP4, NVFP4 and INT4 only
  std::unique_ptr<TensorView> global_scale;  ///< NVFP4 only: one F32
  std::unique_ptr<TensorView> zero_point;    ///< INT4 that is not symmetric
  int64_t scale_rows = 1, scale_cols = 1;    ///< rows and inputs that share a scale
  GlobalScale factor;                        ///< what global_scale says
  Encoding encoding = Encoding::kF32;
};

struct MatchResult {
  std::vector<TensorSpec> table;       ///< without mtp.*
  std::vector<TensorSpec> draft;       ///< mtp.* where the files and the config agree on a draft; else empty
  std::vector<MatchedTensor> tensors;  ///< one for each entry of the table, then one for each of the draft
  DraftKind draft_kind = DraftKind::kNone;
  std::vector<std::string> notices;
  std::string naming;  ///< "DeepSeek", "transformers" or "mixed"
};

/// Throws Error naming file and tensor: missing, one weight under two names, wrong dtype or shape, a part of a quantised weight missing,
/// superfluous or of a wrong shape, FP8 scales in F32 or a global scale that is not finite, hash table entries outside [0, n_routed_experts), tensors that
/// the config does not describe.
MatchResult match_tensors(const Config& config, const FileSet& files, const std::filesystem::path& directory);

}  // namespace dsv4
