// The drafts of a checkpoint in plain loops (spec 2.13, 2.14): the NextN block or DSpark's stages over the rows that the model left, from position 0, with no cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "reference/reference.h"

namespace dsv4 {

/// One draft block: n drafts after an anchor. V tokens.
struct DraftBlock {
  std::vector<float> base_logits;  ///< [n, V]: DSpark's before the Markov head's bias; NextN's as logits
  std::vector<float> logits;       ///< [n, V]
  std::vector<int64_t> tokens;     ///< [n]: drafts, each the largest of its logits
  std::vector<float> confidences;  ///< [n]: DSpark's, before the sigmoid; empty for NextN
};

/// p is the last position whose state the model has left; the token at p + 1, the anchor, is chosen but was not run.
class DraftReference {
 public:
  /// Error where the checkpoint has no draft, or more NextN blocks than one.
  explicit DraftReference(const Checkpoint& checkpoint, ReferenceOptions options = {});

  /// What drafts read of the model for each of T tokens: NextN the streams before the head, [T, hc*D]; DSpark the means over the streams after
  /// its target layers, [T, n*D].
  std::vector<float> features(std::span<const int64_t> tokens) const;

  /// NextN, every position: logits [T-1, V] for the token after the next, row p from features[p] and token p + 1. Error for DSpark.
  std::vector<float> logits(std::span<const int64_t> tokens, std::span<const float> features) const;

  /// `n` drafts after the anchor tokens.back(), from the features of all tokens before it, at least one. DSpark: its block, n of its size.
  DraftBlock drafts(std::span<const int64_t> tokens, std::span<const float> features, int64_t n) const;

 private:
  const Checkpoint& checkpoint_;
  ReferenceOptions options_;
};

}  // namespace dsv4
