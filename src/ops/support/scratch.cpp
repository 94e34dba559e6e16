// The pool behind Scratch.
#include "ops/support/scratch.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace dsv4::ops {

namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kSmallestBlock = int64_t{1} << 20;

struct Pool {
  std::mutex mutex;
  std::unique_ptr<Scratch::Blocks> free;  // a list
  ~Pool() {
    while (free) free = std::move(free->next);  // not by recursion
  }
};

Pool& pool() {
  static Pool instance;
  return instance;
}

}  // namespace

Scratch::Scratch() {
  {
    const std::lock_guard lock(pool().mutex);
    if (pool().free) {
      blocks_ = std::move(pool().free);
      pool().free = std::move(blocks_->next);
    }
  }
  if (!blocks_) blocks_ = std::make_unique<Blocks>();
}

Scratch::~Scratch() {
  // Several blocks become one of their size, so that the next call finds everything in one piece. That one is allocated by the next call: a destructor, which
  // may be at work because there is no memory, must not.
  if (blocks_->list.size() > 1) {
    for (const Block& block : blocks_->list) blocks_->expected += block.size;
    blocks_->list.clear();
  }
  const std::lock_guard lock(pool().mutex);
  blocks_->next = std::move(pool().free);
  pool().free = std::move(blocks_);
}

void Scratch::add_block(int64_t least) {
  const auto allocate = [this](int64_t size) {
    blocks_->list.push_back({std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(size + kAlignment)), size});
  };
  const int64_t expected = std::exchange(blocks_->expected, 0);
  if (expected > least) {
    try {
      return allocate(expected);
    } catch (const std::bad_alloc&) {  // this call may need less than the one before
    }
  }
  allocate(std::max(least, kSmallestBlock));
}

std::byte* Scratch::take_bytes(int64_t n) {
  n = (n + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_->list.size() && used_ + n > blocks_->list[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_->list.size()) {
    add_block(n);
    used_ = 0;
  }
  std::byte* base = blocks_->list[block_].memory.get();
  base += (kAlignment - reinterpret_cast<uintptr_t>(base) % kAlignment) % kAlignment;
  std::byte* taken = base + used_;
  used_ += n;
  return taken;
}

}  // namespace dsv4::ops
