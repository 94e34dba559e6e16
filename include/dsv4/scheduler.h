// A scheduler: requests in, tokens out, several sequences in one inference.
//
// It owns the sessions of the requests that it runs, and takes turns at them step by step: a step is one inference with a token of every text that
// is being generated, and pieces of prompts beside these as far as they do not hold them up. What a request gives, to the bit, is what generate()
// (dsv4/request.h) gives for it alone: its text depends neither on what else there is nor on when it came.
//
// Any thread may submit, cancel, pause and wait. One thread at a time runs the steps, and on it all callbacks are called: run() serves until it is
// told to stop, run_until_idle() until nothing is left, step() once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "dsv4/engine.h"
#include "dsv4/request.h"
#include "dsv4/session.h"

namespace dsv4 {

/// What one inference held.
struct StepReport {
  int64_t decoded = 0;        ///< tokens of texts, one each
  int64_t prompt_tokens = 0;  ///< tokens of prompts
};

struct SchedulerOptions {
  int64_t parallel = 8;       ///< most requests that are fed or generated at once; the others wait
  int64_t prompt_steps = 10;  ///< beside texts, a step's pieces of prompts take no longer than so many steps without them, or are one piece
  int64_t cache_bytes = 0;    ///< most memory for caches; 0: what the machine has left when the scheduler is made
  std::function<double()> clock = {};                   ///< seconds; empty: the system's steady clock
  std::function<void(const StepReport&)> on_step = {};  ///< after each inference, before its time is taken; may be empty
};

enum class End { kFinished, kCancelled, kFailed };

/// What came of a request.
struct Outcome {
  End end = End::kFinished;
  std::string error;             ///< kFailed: why, one line
  Generated generated;           ///< what there is of it, without prompt_logits; its times are those in which others took their turns too
  int64_t prompt_tokens = 0;     ///< of the request
  int64_t cached_tokens = 0;     ///< that the sequence had before: in the session that was given
  double waiting_seconds = 0.0;  ///< from submit() until its prompt's first piece
  std::optional<Session> session =
      {};  ///< where Job::keep_session asked for it, and its state was not lost; the last token is not in it, as after generate()
};

/// A prompt, and the texts that go on from it.
struct Job {
  /// At least one. The prompt is that of the first and is fed once; the others have none, and differ in seeds, say.
  std::vector<Request> requests = {};
  int priority = 0;  ///< larger ones go before; but who waits for 100 steps goes up by 1
  /// To go on from, such as a fork of a checkpoint; empty: a new sequence.
  std::optional<Session> session = {};
  bool keep_session = false;  ///< outcomes bring their sessions
  /// Called at the end of each request, whatever the end, on the thread that runs the steps, through which what it throws passes. Empty: wait() has the outcome.
  std::function<void(uint64_t id, Outcome outcome)> on_end = {};
};

class Scheduler {
 public:
  /// Error for options out of range.
  explicit Scheduler(const Engine& engine, SchedulerOptions options = {});
  /// Nobody may wait any more. Requests that have not ended are dropped, without a call of on_end.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Takes a job in; returns an id a request, in their order, never used again. Error for what is wrong with it whatever else runs: no request or prompt, ids
  /// outside of the vocabulary, more tokens than the context, options out of range, more memory than cache_bytes. What goes wrong later, in an inference, a
  /// callback or a choice, is the outcome of that request alone: kFailed.
  std::vector<uint64_t> submit(Job job);
  /// Ends a request before its next token, or the next inference of its prompt. Nothing happens where it has ended.
  void cancel(uint64_t id);
  /// No tokens of it from the next step on, until resume(): its reader is slow. It keeps its cache, not its place among `parallel`.
  void pause(uint64_t id);
  void resume(uint64_t id);
  /// Waits for the end of a request whose job has no on_end, and takes its outcome: once. Error for any other id.
  Outcome wait(uint64_t id);
  /// Requests that have not ended, and those of them that have got as far as a session.
  struct Counts {
    int64_t unfinished = 0;
    int64_t running = 0;
  };
  Counts counts() const;
  /// Memory that a sequence of so many tokens takes, which a job is given before it begins; 0 for the portable program, of which it is not known.
  int64_t sequence_bytes(int64_t tokens) const;
  /// Most memory for caches.
  int64_t cache_bytes() const;

  /// One step; false where there was nothing to do.
  bool step();
  void run_until_idle();
  /// Runs steps, and waits for requests where there are none, until a stop is requested.
  void run(const std::stop_token& stop);

 private:
  class Inbox;  ///< what other threads ask for (src/runtime/scheduler_inbox.h)
  class Work;   ///< what is done of it (src/runtime/scheduler_work.h)

  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Work> work_;
};

}  // namespace dsv4
