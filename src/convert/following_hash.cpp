// Hashing behind the writers.
#include "convert/following_hash.h"

#include <algorithm>

#include "checkpoint/quote.h"
#include "convert/errors.h"

namespace dsv4 {

namespace {

constexpr uint64_t kLeast = 1 << 20;  // not worth a turn
constexpr uint64_t kTurn = 8 << 20;   // of one thread: more than a piece writes, so that nothing piles up

}  // namespace

FollowingHash::FollowingHash(int fd, std::filesystem::path path, std::shared_ptr<ContentHasher> hasher, uint64_t hashed)
    : fd_(fd), path_(std::move(path)), hasher_(std::move(hasher)), hashed_(hashed) {}

void FollowingHash::advance(uint64_t end, const std::function<void(uint64_t bytes)>& passed) {
  if (!hash_file_range(fd_, path_, hashed_, end, *hasher_, passed)) {
    fail_write(path_text(path_), " became shorter while it was written; does another program write to it?");
  }
  hashed_ = std::max(hashed_, end);
}

void FollowingHash::follow(uint64_t final_bytes) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || final_bytes < hashed_ + kLeast) return;
  advance(std::min(final_bytes, hashed_ + kTurn), [](uint64_t) {});
}

void FollowingHash::catch_up(uint64_t end, const std::function<void(uint64_t bytes)>& passed) {
  const std::lock_guard lock(mutex_);
  if (end > hashed_) advance(end, passed);
}

std::pair<uint64_t, ContentHash> FollowingHash::so_far() const {
  const std::lock_guard lock(mutex_);
  return {hashed_, hasher_->hash()};
}

}  // namespace dsv4
