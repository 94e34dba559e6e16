// The caches that are alive in this process, by number: what the slots of an op's runs name (attention/runs.h).
//
// An op gets numbers, not addresses: a graph's inputs are data, and a number that names no cache is found out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace dsv4::ops {

/// A cache in the pool, from when this is made until it goes. The memory outlives it.
class CacheSlot {
 public:
  explicit CacheSlot(std::span<std::byte> cache);
  ~CacheSlot();
  CacheSlot(CacheSlot&& other) noexcept : id_(std::exchange(other.id_, kNone)) {}
  CacheSlot& operator=(CacheSlot&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  CacheSlot(const CacheSlot&) = delete;
  CacheSlot& operator=(const CacheSlot&) = delete;

  /// Above 0. Not given again before all others were.
  int32_t id() const { return id_; }

 private:
  static constexpr int32_t kNone = 0;

  int32_t id_ = kNone;
};

/// Memory of the cache of this number. From any thread. ov::Exception when none is alive that has it.
std::span<std::byte> cache_of_slot(int32_t slot);

}  // namespace dsv4::ops
