// The scheduler's public side.
#include "dsv4/scheduler.h"

#include <utility>

#include "runtime/scheduler_inbox.h"
#include "runtime/scheduler_work.h"

namespace dsv4 {

Scheduler::Scheduler(const Engine& engine, SchedulerOptions options)
    : inbox_(std::make_unique<Inbox>()), work_(std::make_unique<Work>(engine, std::move(options), *inbox_)) {}
Scheduler::~Scheduler() = default;

std::vector<uint64_t> Scheduler::submit(Job job) {
  work_->check(job);
  return inbox_->add(std::move(job), work_->now());
}

void Scheduler::cancel(uint64_t id) { inbox_->wish(id, Inbox::Wish::kCancel); }
void Scheduler::pause(uint64_t id) { inbox_->wish(id, Inbox::Wish::kPause); }
void Scheduler::resume(uint64_t id) { inbox_->wish(id, Inbox::Wish::kResume); }
Outcome Scheduler::wait(uint64_t id) { return inbox_->wait(id); }
Scheduler::Counts Scheduler::counts() const { return inbox_->counts(); }
int64_t Scheduler::sequence_bytes(int64_t tokens) const { return work_->sequence_bytes(tokens); }
int64_t Scheduler::cache_bytes() const { return work_->cache_bytes(); }

bool Scheduler::step() { return work_->step(); }

void Scheduler::run_until_idle() {
  while (step()) {
  }
}

void Scheduler::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (!step()) inbox_->wait_for_news(stop);
  }
}

}  // namespace dsv4
