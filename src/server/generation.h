// Between an API and the scheduler: a prompt's texts, computed from the longest beginning that is kept, and kept for those that come.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "dsv4/scheduler.h"
#include "runtime/prefix_store.h"
#include "server/metrics.h"

namespace dsv4 {

/// What is asked of the scheduler. The functions are called on its thread.
struct GenerationPlan {
  std::vector<int64_t> prompt;
  std::vector<int64_t> turns;     ///< positions at which another prompt may go on differently, ascending
  std::vector<Request> requests;  ///< without prompts: these are texts that go on from it
  std::function<void(size_t text, int64_t token, const Logprobs* logprobs)> on_token;
  std::function<bool(size_t text)> ends_after;
  std::function<void(size_t text, const Generated& generated)> on_finish;
  std::function<void(const std::exception& error)> on_failure;
};

/// One prompt and its texts. Thread-safe.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(Scheduler& scheduler, PrefixStore& store, Metrics& metrics, GenerationPlan plan)
      : scheduler_(scheduler), store_(store), metrics_(metrics), plan_(std::move(plan)) {}

  int64_t prompt_tokens() const { return std::ssize(plan_.prompt); }
  /// Hands it to the scheduler; before, `known` is told how many tokens of the prompt are there already. Error as Scheduler::submit.
  void start(const std::function<void(int64_t cached)>& known);
  /// Its client has gone.
  void cancel();
  void pause();
  void resume();

 private:
  void submit_next(std::optional<Session> session);
  void beginning_done(Outcome outcome);
  void text_done(uint64_t id, Outcome outcome);
  Request text_request(size_t text, int64_t begin, std::vector<int64_t> rest);
  int64_t next_stop(int64_t position) const;
  void for_each_id(void (Scheduler::*what)(uint64_t));

  Scheduler& scheduler_;
  PrefixStore& store_;
  Metrics& metrics_;
  GenerationPlan plan_;
  int64_t fed_ = 0;  // tokens of the prompt that were handed over
  std::mutex mutex_;
  std::vector<uint64_t> ids_;  // of what the scheduler has of it now
  bool cancelled_ = false;
};

}  // namespace dsv4
