// Hashing behind the writers.
#include "convert/following_hash.h"

#include <algorithm>

namespace dsv4 {

namespace {

constexpr uint64_t kLeast = 1 << 20;  // not worth a turn
constexpr uint64_t kTurn = 8 << 20;   // of one thread: more than a piece writes, so that nothing piles up

}  // namespace

FollowingHash::FollowingHash(BinFile& file, std::shared_ptr<ContentHasher> hasher, uint64_t hashed)
    : file_(file), hasher_(std::move(hasher)), hashed_(hashed) {}

void FollowingHash::advance(uint64_t end, const std::function<void(uint64_t bytes)>& passed) {
  file_.hash(hashed_, end, *hasher_, [&](uint64_t bytes) {
    hashed_ += bytes;  // before what may throw: so_far() says what was hashed
    passed(bytes);
  });
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
  return {hashed_.load(), hasher_->hash()};
}

}  // namespace dsv4
