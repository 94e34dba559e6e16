// Several sequences in one inference. The weights are read once for all of them: that is what decoding several sequences at once gains.
//
// Engine::step (dsv4/engine.h) takes a Step for every session that is to go on: its next tokens, a prompt's or the one that was chosen last.
// What a session gets does not depend, to the bit, on which others are in the step. Session::feed is a step with one part.
#pragma once

#include <cstdint>
#include <span>

#include "dsv4/session.h"

namespace dsv4 {

enum class StepLogits {
  kNone,  ///< of a prompt's pieces before the last
  kLast,  ///< of the last token
  kAll,   ///< of every token, whatever EngineOptions::all_logits says
};

/// One sequence's part of a step: its next tokens, and which of their logits are wanted.
struct Step {
  Session& session;
  std::span<const int64_t> tokens;  ///< at least one
  StepLogits logits = StepLogits::kLast;
};

}  // namespace dsv4
