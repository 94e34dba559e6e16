// The hash of a file that is written in any order: follows behind what is final, while that is still in memory.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "checkpoint/content_hash.h"
#include "convert/bin_file.h"

namespace dsv4 {

class FollowingHash {
 public:
  /// `file` outlives this. `hasher` has hashed the first `hashed` bytes already.
  FollowingHash(BinFile& file, std::shared_ptr<ContentHasher> hasher, uint64_t hashed);

  /// Some bytes nobody writes to any more: hashes a share of those that are behind, unless another thread is at it.
  void follow(uint64_t final_bytes);
  /// Hashes up to `end`; `passed` as of hash_file_range.
  void catch_up(uint64_t end, const std::function<void(uint64_t bytes)>& passed);

  /// Bytes from the start.
  uint64_t hashed() const { return hashed_; }
  /// The same, and their hash.
  std::pair<uint64_t, ContentHash> so_far() const;

 private:
  void advance(uint64_t end, const std::function<void(uint64_t bytes)>& passed);

  BinFile& file_;
  std::shared_ptr<ContentHasher> hasher_;
  mutable std::mutex mutex_;
  std::atomic<uint64_t> hashed_;
};

}  // namespace dsv4
