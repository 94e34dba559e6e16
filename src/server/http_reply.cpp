// Answers on their way from the threads that write them to the one that sends them.
#include "server/http_reply.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

HttpWakeups::HttpWakeups() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor_ < 0) fail("the server cannot begin: eventfd: ", std::strerror(errno));
}

HttpWakeups::~HttpWakeups() { ::close(descriptor_); }

void HttpWakeups::wake(std::shared_ptr<HttpReply> reply) {
  {
    const std::lock_guard lock(mutex_);
    if (reply) replies_.push_back(std::move(reply));
  }
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the event thread is awake.
  [[maybe_unused]] const ssize_t written = ::write(descriptor_, &one, sizeof one);
}

std::vector<std::shared_ptr<HttpReply>> HttpWakeups::take() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(descriptor_, &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(replies_, {});
}

void HttpReply::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(woken_, true)) return;
  }
  wakeups_->wake(shared_from_this());
}

void HttpReply::send(HttpResponse response) {
  {
    const std::lock_guard lock(mutex_);
    if (begun_) return;
    head_ = std::move(response);
    begun_ = ended_ = true;
  }
  wake();
}

void HttpReply::begin(HttpResponse head, std::string keep_alive) {
  {
    const std::lock_guard lock(mutex_);
    if (begun_) return;
    pending_.insert(0, std::exchange(head.body, {}));
    head_ = std::move(head);
    keep_alive_ = std::move(keep_alive);
    begun_ = true;
  }
  wake();
}

bool HttpReply::write(std::string_view bytes) {
  bool room = true;
  {
    const std::lock_guard lock(mutex_);
    if (gone_ || ended_) return true;
    pending_ += bytes;
    room = pending_.size() + waiting_ < most_;
    if (!room) paused_ = true;
  }
  wake();
  return room;
}

void HttpReply::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake();
}

bool HttpReply::begun() const {
  const std::lock_guard lock(mutex_);
  return begun_;
}

bool HttpReply::full() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

bool HttpReply::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

void HttpReply::on_change(std::function<void()> changed) {
  bool now = false;
  {
    const std::lock_guard lock(mutex_);
    now = gone_;
    if (!now && !closed_) changed_ = changed;
  }
  if (now) changed();
}

HttpReply::Taken HttpReply::take() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  Taken out;
  if (!begun_) return out;
  out.head = std::exchange(head_, std::nullopt);
  out.bytes = std::exchange(pending_, {});
  out.ended = ended_;
  waiting_ += out.bytes.size();
  return out;
}

void HttpReply::sent(size_t waiting) {
  std::function<void()> changed;
  {
    const std::lock_guard lock(mutex_);
    waiting_ = waiting;
    if (paused_ && pending_.size() + waiting_ <= most_ / 2) {
      paused_ = false;
      changed = changed_;
    }
  }
  if (changed) changed();
}

void HttpReply::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_ = nullptr;  // which may hold who holds this
}

void HttpReply::set_gone() {
  std::function<void()> changed;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    pending_.clear();
    changed = std::exchange(changed_, nullptr);
  }
  if (changed) changed();
}

std::string HttpReply::keep_alive() const {
  const std::lock_guard lock(mutex_);
  return begun_ && !ended_ && !head_ && pending_.empty() ? keep_alive_ : std::string();
}

}  // namespace dsv4
