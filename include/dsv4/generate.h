// Generating tokens: a prompt fed once, then one token after another.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dsv4/sampler.h"
#include "dsv4/session.h"

namespace dsv4 {

struct GenerateOptions {
  int64_t max_new_tokens = 32;
  bool ignore_eos = false;
  SamplerOptions sampler;
  std::function<void(int64_t token)> on_token;  ///< as each is chosen; may be empty
};

struct Generated {
  std::vector<int64_t> tokens;       ///< new ones; ends with an EOS token if it stopped there
  std::vector<float> prompt_logits;  ///< what feed returned for the prompt
  bool stopped_at_eos = false;
  bool context_full = false;     ///< it ended because the sequence has no room for another token (Session::room)
  double prefill_seconds = 0.0;  ///< the prompt, up to its logits
  double decode_seconds = 0.0;   ///< the inferences after it
  int64_t decoded = 0;           ///< how many those were
};

/// Goes on from the session's position, up to max_new_tokens, an EOS token, or the most tokens that the sequence can have. Error as Session::feed throws it.
Generated generate(Session& session, std::span<const int64_t> prompt, const GenerateOptions& options);

}  // namespace dsv4
