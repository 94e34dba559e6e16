// The DeepSeek-V4 forward pass in plain loops, straight from a checkpoint: what every other implementation here is checked against.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/stored_format.h"
#include "reference/choices.h"

namespace dsv4 {

struct ReferenceOptions {
  bool simulate_cache_quantization = false;  ///< spec 2.9 (ii): FP8 window/compressed kv, FP4 indexer q and keys after Hadamard
  int64_t layers = -1;                       ///< only the first N layers; -1: all
  int64_t last_rows = 0;       ///< logits only of the last N rows: the attention of the last layer computes no others; 0: of all
  int threads = 0;             ///< 0: all cores
  StoredFormats formats = {};  ///< weights as a model keeps them; empty: exactly as published
};

/// Intermediate results, filled when a trace is passed. L layers, T tokens.
struct ReferenceTrace {
  std::vector<std::vector<float>> streams;                         ///< [L] of [T*hc*D]: the residual streams after each layer
  std::vector<std::vector<int32_t>> expert_ids;                    ///< [L] of [T*K]: as selected
  std::vector<std::vector<std::vector<int32_t>>> index_selection;  ///< [L] of [T] of ascending entries (indexer layers; empty otherwise)
};

/// What a pass leaves of each row, from which its logits are made.
struct ReferenceRows {
  int64_t count = 0;
  std::vector<float>
      hidden;  ///< [count*D]: normed, as the head multiplies them; without meaning for rows before the last_rows that were asked for
  std::vector<CloseChoice> close;  ///< the choices on their way that have a margin of at most 2000
};

class Reference {
 public:
  explicit Reference(const Checkpoint& checkpoint, ReferenceOptions options = {});

  /// One pass over the whole sequence from position 0 (closed form of the visibility rules, no cache). Returns logits [T, V], row-major.
  /// Holds one layer's dense weights and one expert at a time. Throws Error for an empty sequence or a token id outside [0, V).
  std::vector<float> logits(std::span<const int64_t> tokens, ReferenceTrace* trace = nullptr) const;

  /// The same in two steps, for sequences whose logits are too many to be held: all rows but for the head, the choices `turned` made otherwise,
  ReferenceRows rows(std::span<const int64_t> tokens, const std::set<Choice>& turned = {}, ReferenceTrace* trace = nullptr) const;
  /// and logits [end - begin, V] of the rows [begin, end). Each call reads the head once.
  std::vector<float> logits_of(const ReferenceRows& rows, int64_t begin, int64_t end) const;

  /// Greedy continuation of n tokens by full recompute.
  std::vector<int64_t> greedy(std::span<const int64_t> tokens, int64_t n) const;

 private:
  const Checkpoint& checkpoint_;
  ReferenceOptions options_;
};

}  // namespace dsv4
