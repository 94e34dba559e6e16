// A queue under a lock.
#include "runtime/scheduler_inbox.h"

#include "dsv4/error.h"

namespace dsv4 {

std::vector<uint64_t> Scheduler::Inbox::add(Job job, double now) {
  const std::lock_guard lock(mutex_);
  std::vector<uint64_t> ids;
  for (size_t i = 0; i < job.requests.size(); ++i) ids.push_back(next_++);
  unfinished_.insert(ids.begin(), ids.end());
  if (!job.on_end) awaited_.insert(ids.begin(), ids.end());
  news_.jobs.push_back({ids, std::move(job), now});
  came_.notify_all();
  return ids;
}

void Scheduler::Inbox::wish(uint64_t id, Wish wish) {
  const std::lock_guard lock(mutex_);
  if (!unfinished_.contains(id)) return;
  news_.wishes.emplace_back(id, wish);
  came_.notify_all();
}

Outcome Scheduler::Inbox::wait(uint64_t id) {
  std::unique_lock lock(mutex_);
  if (awaited_.erase(id) == 0) fail("request ", id, ": nobody can wait for it; it has on_end, was waited for, or was never submitted");
  ended_.wait(lock, [&] { return outcomes_.contains(id); });
  return std::move(outcomes_.extract(id).mapped());
}

Scheduler::Counts Scheduler::Inbox::counts() const {
  const std::lock_guard lock(mutex_);
  return {static_cast<int64_t>(unfinished_.size()), running_};
}

Scheduler::Inbox::News Scheduler::Inbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, News());
}

void Scheduler::Inbox::wait_for_news(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  came_.wait(lock, stop, [this] { return has_news(); });
}

void Scheduler::Inbox::set_running(int64_t running) {
  const std::lock_guard lock(mutex_);
  running_ = running;
}

void Scheduler::Inbox::put(uint64_t id, Outcome outcome) {
  const std::lock_guard lock(mutex_);
  unfinished_.erase(id);
  outcomes_.emplace(id, std::move(outcome));
  ended_.notify_all();
}

void Scheduler::Inbox::forget(uint64_t id) {
  const std::lock_guard lock(mutex_);
  unfinished_.erase(id);
}

}  // namespace dsv4
