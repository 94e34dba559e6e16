// What a session keeps of its sequence, in the form of its program, and what it asks of that: inferences. cpu_program.h and
// portable_program.h make one each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dsv4/session.h"
#include "runtime/engine_model.h"

namespace dsv4 {

/// Tokens are checked by the session before they come here, and so is that a snapshot is one of this model and not damaged.
class Session::State {
 public:
  explicit State(const Engine::Model& model) : model_(model) {}
  virtual ~State() = default;

  /// A sequence's next tokens, after the first `position` ones. The logits of the last `rows` of them are appended, [rows,V].
  struct Part {
    State& state;
    std::span<const int64_t> tokens;
    int64_t position = 0;
    int64_t rows = 0;
    std::vector<float>& logits;
  };
  /// Of states of one engine, which this one is too: in one inference where the program can do that. Error when an inference fails: programs
  /// with state then have states that nobody knows, those of the prefill-only form are as they were.
  virtual void infer(std::span<const Part> parts) = 0;
  /// Rows of a piece of `length` tokens that its logits are returned for; `last`: it is the last piece of what was fed.
  virtual int64_t rows_of(int64_t length, bool last) const = 0;
  /// Whether infer() may be called for a position up to kMostRewind before the furthest one.
  virtual bool rewinds() const = 0;
  /// An empty sequence, whatever happened before.
  virtual void reset() = 0;

  /// Fills in the states of snapshot.position and snapshot.back.
  virtual void save(Snapshot& snapshot) = 0;
  virtual int64_t saved_bytes(int64_t position, int64_t back) = 0;
  /// Checks the states of a snapshot, takes the memory for them, and returns what sets them, which does not fail. Error for those that do
  /// not fit; nothing has changed before the function that is returned runs. It refers to the snapshot.
  virtual std::function<void()> prepare(const Snapshot& snapshot) = 0;

  /// A state that stays while the sequence goes on. What it shares with others is the program's matter.
  struct Kept {
    virtual ~Kept() = default;
  };
  /// Of `position` tokens, of which `back` may be taken back. Error for want of memory; nothing has changed then.
  virtual std::shared_ptr<const Kept> keep(int64_t position, int64_t back) = 0;
  /// Goes on from what keep() of a state of the same model returned. Error for want of memory: nobody knows the state then.
  virtual void go_on_from(const Kept& kept) = 0;

  /// The state after `position` tokens that nobody said. Error where the program has none that could be made up.
  virtual void fill_with_noise(int64_t position) = 0;

 protected:
  const Engine::Model& model_;
};

/// Of one inference: a session's next tokens. The logits of the last `rows` of them are appended.
struct Session::Part {
  Session& session;
  std::span<const int64_t> tokens;
  int64_t rows = 0;
  std::vector<float>& logits;
};

}  // namespace dsv4
