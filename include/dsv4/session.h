// One sequence on an engine: tokens in, logits out, its state kept between calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dsv4/engine.h"

namespace dsv4 {

class SequenceState;

/// The state of a sequence, a copy of its own: it outlives its session and may be restored many times, in any session of the same model and options.
struct Snapshot {
  int64_t position = 0;         ///< tokens so far
  std::vector<int64_t> tokens;  ///< of the prefill-only form, which has no other state
  struct State {
    std::string type;  ///< OpenVINO's name of the element type
    std::vector<size_t> shape;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, State> states;
  std::string model;   ///< which folder it is of, and which of the options that a state depends on
  std::string digest;  ///< of all of the above: a damaged snapshot is refused
};

/// Not thread-safe; sessions of one engine are independent of each other and may run in several threads, where they take turns at the CPU.
class Session {
 public:
  explicit Session(const Engine& engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Appends tokens, at most `chunk` of them an inference so that memory stays flat, and returns logits: of every new token, [n,V], if the engine has
  /// all_logits; else of the last, [1,V]. Error for no tokens, an id outside [0,V), or more positions than Engine::context(); the session is then as it was.
  /// Error too when an inference fails, for want of memory or because the model is damaged. The state is then lost, position() is that of the last inference
  /// that did not fail, and everything but reset() and restore() is refused. (The prefill-only form keeps no state and is as it was.)
  std::vector<float> feed(std::span<const int64_t> tokens, int64_t chunk = 512);

  /// Starts a new sequence.
  void reset();

  int64_t position() const { return position_; }  ///< tokens so far
  int64_t room() const;                           ///< tokens that can still be fed
  const Engine& engine() const { return engine_; }

  /// The state after position() tokens; restore() goes on from it. Error for a snapshot that is damaged, or of another folder or other options, or when there
  /// is no memory for it: nothing has changed then.
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

  /// A second session that goes on from where this one is.
  Session fork() const;

  /// For measurements at long contexts: position() becomes `position` with a cache of random rows instead of a prompt's. The CPU program only.
  void fill_with_noise(int64_t position);

 private:
  void check_state() const;

  Engine engine_;
  std::unique_ptr<SequenceState> state_;
  int64_t position_ = 0;
  bool lost_ = false;    // the state: an inference has failed
  std::string failure_;  // how
};

/// Error unless every id is in [0, vocabulary); `what` begins the message.
void check_tokens(std::span<const int64_t> tokens, int64_t vocabulary, const std::string& what);

}  // namespace dsv4
