// How a text goes on, token by token: what generate() and the scheduler choose tokens with, and where they end a text.
#pragma once

#include <cstdint>
#include <span>

#include "dsv4/request.h"

namespace dsv4 {

/// Error for what is wrong with a request on any session of the engine, but for its prompt.
void check_request(const Engine& engine, const Request& request);

/// The new tokens of one request. `request` has to stay where it is.
class Continuation {
 public:
  /// `prompt`: that of the request, which penalties count. Error as check_request().
  Continuation(const Engine& engine, const Request& request, std::span<const int64_t> prompt);

  /// Chooses the token behind the session's, from the logits [V] of its last one, and calls what the request asks to be called. Returns whether the
  /// text goes on: last() is then to be fed. What the callbacks throw passes through.
  bool choose(std::span<const float> logits, const Session& session);
  /// The token that was chosen last.
  int64_t last() const { return generated_.tokens.back(); }

  Generated& generated() { return generated_; }

 private:
  const Request& request_;
  Sampler sampler_;
  Generated generated_;
};

}  // namespace dsv4
