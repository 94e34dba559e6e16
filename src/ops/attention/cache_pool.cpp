// A table behind a lock that readers share.
#include "ops/attention/cache_pool.h"

#include <limits>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "openvino/core/except.hpp"

namespace dsv4::ops {

namespace {

struct Pool {
  std::shared_mutex mutex;
  std::unordered_map<int32_t, std::span<std::byte>> caches;
  int32_t last = 0;  // number that was given last
};

/// Never destroyed: a session of a static engine may go after everything else.
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

}  // namespace

CacheSlot::CacheSlot(std::span<std::byte> cache) {
  Pool& all = pool();
  const std::unique_lock lock(all.mutex);
  do {
    all.last = all.last == std::numeric_limits<int32_t>::max() ? 1 : all.last + 1;
  } while (!all.caches.try_emplace(all.last, cache).second);
  id_ = all.last;
}

CacheSlot::~CacheSlot() {
  if (id_ == kNone) return;
  Pool& all = pool();
  const std::unique_lock lock(all.mutex);
  all.caches.erase(id_);
}

std::span<std::byte> cache_of_slot(int32_t slot) {
  Pool& all = pool();
  const std::shared_lock lock(all.mutex);
  const auto found = all.caches.find(slot);
  OPENVINO_ASSERT(found != all.caches.end(), "cache: no sequence has the slot ", slot, " (ops::CacheSlot gives slots)");
  return found->second;
}

}  // namespace dsv4::ops
