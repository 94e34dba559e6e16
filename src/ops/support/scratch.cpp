// The pool behind Scratch.
#include "ops/support/scratch.h"

#include <algorithm>
#include <mutex>

namespace dsv4::ops {

namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kSmallestBlock = int64_t{1} << 20;

struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Scratch::Blocks>> free;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

}  // namespace

Scratch::Scratch() {
  {
    const std::lock_guard lock(pool().mutex);
    if (!pool().free.empty()) {
      blocks_ = std::move(pool().free.back());
      pool().free.pop_back();
    }
  }
  if (!blocks_) blocks_ = std::make_unique<Blocks>();
}

Scratch::~Scratch() {
  // Several blocks become one of their size, so that the next call finds everything in one piece.
  if (blocks_->size() > 1) {
    int64_t total = 0;
    for (const Block& block : *blocks_) total += block.size;
    blocks_->clear();
    blocks_->push_back({std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(total + kAlignment)), total});
  }
  const std::lock_guard lock(pool().mutex);
  pool().free.push_back(std::move(blocks_));
}

std::byte* Scratch::take_bytes(int64_t n) {
  n = (n + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_->size() && used_ + n > (*blocks_)[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_->size()) {
    const int64_t size = std::max(n, kSmallestBlock);
    blocks_->push_back({std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(size + kAlignment)), size});
    used_ = 0;
  }
  std::byte* base = (*blocks_)[block_].memory.get();
  base += (kAlignment - reinterpret_cast<uintptr_t>(base) % kAlignment) % kAlignment;
  std::byte* taken = base + used_;
  used_ += n;
  return taken;
}

}  // namespace dsv4::ops
