// A session: one sequence on an engine. Tokens in, logits out, its state kept between calls.
//
// What was fed so far is in the session and nowhere else: a position, and the cache or states that the next token needs. It owns that state
// and a copy of the engine's handle (dsv4/engine.h), so that the model lives as long as its sessions; sessions share the weights and
// nothing else. A copy of the state is a Snapshot (dsv4/snapshot.h); a text that goes on from a prompt is a Request (dsv4/request.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "dsv4/snapshot.h"

namespace dsv4 {

/// Not thread-safe; sessions of one engine are independent of each other and may run in several threads, where they take turns at the CPU.
class Session {
 public:
  explicit Session(const Engine& engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Appends tokens, at most `chunk` of them an inference so that memory stays flat, and returns logits: of every new token, [n,V], if the
  /// engine has all_logits; else of the last, [1,V]. Error for no tokens, an id outside [0,V), or more positions than Engine::context();
  /// the session is then as it was. Error too when an inference fails, for want of memory or because the model is damaged. The state is
  /// then lost, position() is that of the last inference that did not fail, and everything but reset() and restore() is refused. (The
  /// prefill-only form keeps no state and is as it was.)
  std::vector<float> feed(std::span<const int64_t> tokens, int64_t chunk = 512);

  /// Starts a new sequence.
  void reset();

  int64_t position() const { return position_; }  ///< tokens so far
  int64_t room() const;                           ///< tokens that can still be fed
  const Engine& engine() const { return engine_; }

  /// The state after position() tokens; restore() goes on from it. Error for a snapshot that is damaged, or of another folder or other
  /// options, or when there is no memory for it: nothing has changed then.
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

  /// A second session that goes on from where this one is.
  Session fork() const;

  class State;  ///< of the sequence, in the program's own form (src/runtime/session_state.h)

 private:
  friend struct Inner;  // what dsv4's own rooms see beyond this: src/runtime/inner.h

  void check_state() const;

  Engine engine_;
  std::unique_ptr<State> state_;
  int64_t position_ = 0;
  bool lost_ = false;    // the state: an inference has failed
  std::string failure_;  // how
};

}  // namespace dsv4
