// A session: one sequence on an engine. Tokens in, logits out, its state kept between calls.
//
// What was fed so far is in the session and nowhere else: a position, and the cache or states that the next token needs. It owns that state
// and a copy of the engine's handle (dsv4/engine.h), so that the model lives as long as its sessions; sessions share the weights and, after
// a fork, what they have in common, until one of them writes to it. A copy of the state is a Snapshot (dsv4/snapshot.h); a text that goes on
// from a prompt is a Request (dsv4/request.h).
//
// Three ways back: rewind() takes back the last few tokens for nothing; truncate() goes to any position from a state that keep() kept, and
// feeds what is between again; restore() goes on from a snapshot.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "dsv4/error.h"
#include "dsv4/snapshot.h"

namespace dsv4 {

/// How tokens are fed.
struct FeedOptions {
  int64_t chunk = 512;                                  ///< most tokens of an inference, so that memory stays flat
  std::stop_token cancel = {};                          ///< asked before every inference: Cancelled when a stop was requested
  std::function<void(int64_t position)> progress = {};  ///< after every inference, with the session's position
};

/// Feeding was cancelled between two inferences. The session is whole and has position() tokens: what is missing may be fed later.
class Cancelled : public Error {
 public:
  Cancelled(const std::string& line, int64_t position) : Error(line), position_(position) {}
  int64_t position() const { return position_; }

 private:
  int64_t position_;
};

/// Not thread-safe; sessions of one engine are independent of each other and may run in several threads, where they take turns at the CPU.
class Session {
 public:
  explicit Session(const Engine& engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Appends tokens, at most `chunk` of them an inference, and returns logits: of every new token, [n,V], if the engine has all_logits; else
  /// of the last, [1,V]. Error for no tokens, an id outside [0,V), or more positions than Engine::context(); the session is then as it was.
  /// Error too when an inference fails, for want of memory or because the model is damaged. The state is then lost, position() is that of
  /// the last inference that did not fail, and everything but reset(), restore() and truncate() is refused. (The prefill-only form keeps no
  /// state and is as it was.)
  std::vector<float> feed(std::span<const int64_t> tokens, int64_t chunk = 512);
  std::vector<float> feed(std::span<const int64_t> tokens, const FeedOptions& options);

  /// Starts a new sequence.
  void reset();

  int64_t position() const { return position_; }  ///< tokens so far
  int64_t room() const;                           ///< tokens that can still be fed
  const Engine& engine() const { return engine_; }

  /// Takes the last n tokens back, at no cost: 0 to rewindable(). Error for more, and for the portable program, whose states are
  /// overwritten; the session is then as it was.
  void rewind(int64_t n);
  static constexpr int64_t kMostRewind = 8;
  /// How many that are now: kMostRewind behind the furthest position that the sequence had, and not before its start.
  int64_t rewindable() const;

  /// Keeps the state as it is, for truncate(): at the end of a turn, say. Of more than `most` kept states the oldest goes. What it takes is
  /// windows and tails; compressed entries are shared with the session.
  void keep(int64_t most = 8);
  /// Positions of the states that are kept, ascending. Those behind a position that the sequence went back to are gone, and all of them
  /// after reset() and restore().
  std::vector<int64_t> kept() const;

  /// Goes back to `position`: by rewind() where that is enough; else from the nearest kept state at or before it, or from the start of the
  /// sequence where the session has been there, the tokens between being fed again in the pieces in which they came. Returns how many these
  /// are. Error beyond position(), and where no state is kept that it could go on from: the session is then as it was. `options.chunk` is
  /// not used. Cancelled, it has the tokens up to the position that the error names.
  int64_t truncate(int64_t position, const FeedOptions& options = {});

  /// The state after position() tokens; restore() goes on from it. Error for a snapshot that is damaged, or of another folder or other
  /// options, or when there is no memory for it: nothing has changed then.
  Snapshot save() const;
  void restore(const Snapshot& snapshot);
  /// Bytes of the states that save() would copy.
  int64_t snapshot_bytes() const;

  /// A second session that goes on from where this one is, with the same kept states. Compressed entries are in memory once, until a session
  /// writes to them, and so are windows and tails.
  Session fork() const;

  class State;  ///< of the sequence, in the program's own form (src/runtime/session_state.h)

 private:
  friend struct Inner;  // what dsv4's own rooms see beyond this: src/runtime/inner.h
  friend class Engine;  // for Engine::step
  struct Part;          // of an inference (src/runtime/session_state.h)
  class History;        // the tokens so far and the states kept of them (src/runtime/history.h)

  void check_state() const;
  void set_position(int64_t position, int64_t back);
  void check_room(std::span<const int64_t> tokens) const;
  static void infer(std::span<const Part> parts);
  void infer(std::span<const int64_t> piece, int64_t rows, std::vector<float>& logits, const FeedOptions& options);

  Engine engine_;
  std::unique_ptr<State> state_;
  std::unique_ptr<History> history_;
  int64_t position_ = 0;
  int64_t furthest_ = 0;  // position that the state's rings were written up to
  bool lost_ = false;     // the state: an inference has failed
  std::string failure_;   // how
};

}  // namespace dsv4
