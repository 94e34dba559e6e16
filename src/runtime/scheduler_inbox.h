// What other threads ask the scheduler for, and where they wait for it.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "dsv4/scheduler.h"

namespace dsv4 {

/// Thread-safe.
class Scheduler::Inbox {
 public:
  struct Submitted {
    std::vector<uint64_t> ids;
    Job job;
    double at = 0.0;
  };
  enum class Wish { kCancel, kPause, kResume };
  struct News {
    std::vector<Submitted> jobs;
    std::vector<std::pair<uint64_t, Wish>> wishes;  ///< to be looked at behind the jobs
  };

  std::vector<uint64_t> add(Job job, double now);
  void wish(uint64_t id, Wish wish);
  Outcome wait(uint64_t id);
  Counts counts() const;

  /// Of the thread that runs the steps.
  News take();
  void wait_for_news(const std::stop_token& stop);
  void set_running(int64_t running);
  /// A request of a job without on_end has come to its end.
  void put(uint64_t id, Outcome outcome);
  /// One of a job with it, which is called then.
  void forget(uint64_t id);

 private:
  bool has_news() const { return !news_.jobs.empty() || !news_.wishes.empty(); }

  mutable std::mutex mutex_;
  std::condition_variable_any came_, ended_;
  News news_;
  uint64_t next_ = 1;
  std::set<uint64_t> unfinished_;
  std::set<uint64_t> awaited_;  // whose outcome may be waited for, finished or not
  std::map<uint64_t, Outcome> outcomes_;
  int64_t running_ = 0;
};

}  // namespace dsv4
