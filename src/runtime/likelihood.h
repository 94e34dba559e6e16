// The likelihood that a model gives to a text of token ids.
#pragma once

#include <cstdint>
#include <span>

#include "dsv4/engine.h"

namespace dsv4 {

struct LikelihoodOptions {
  int64_t context = 0;  ///< tokens that a window feeds, each window from an empty state; 0: one window over everything
  int64_t chunk = 128;  ///< tokens an inference: [chunk, V] logits are held. The prefill-only form takes a whole window at once
};

struct Likelihood {
  int64_t predicted = 0;  ///< tokens counted: all but the first
  int64_t windows = 0;
  double negative_log = 0.0;  ///< Σ -log p, in nats

  double per_token() const { return negative_log / static_cast<double>(predicted); }
  double perplexity() const;  ///< e^per_token()
};

/// -log of the probability that softmax(logits) gives to `token`, in float64.
double negative_log_probability(std::span<const float> logits, int64_t token);

/// Every token but the first is predicted once, from the tokens of its window before it. Windows follow each other without a gap: the token that one
/// predicts last is the one that the next is fed first. The engine must return all logits.
/// Error for less than two tokens, an id outside the vocabulary, a context beyond what the model was made for, and logits that are not finite.
Likelihood likelihood(const Engine& engine, std::span<const int64_t> tokens, const LikelihoodOptions& options = {});

}  // namespace dsv4
