// The cache of a sequence as memory that forks and kept states share: page by page, until one of them writes to it.
//
// A cache is one range of addresses, which the ops read and write as if it were all theirs. What is to be shared is copied once to an image,
// a file that has no name (memfd) and never changes again, and is mapped from there, privately: the kernel gives whoever writes to a page a
// copy of its own. So nobody can change what another one sees, wherever he goes back to, and only what differs is in memory twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "files/lazy_memory.h"
#include "ops/attention/cache.h"

namespace dsv4::ops {

class CacheImage;

/// The cache of a sequence as it was at a position.
struct FrozenCache {
  /// Entries and keys of positions [from, to), to the end of the page. What an image of later positions has goes before.
  struct Lists {
    std::shared_ptr<const CacheImage> image;
    int64_t from = 0, to = 0;
  };
  int64_t position = 0;
  std::vector<Lists> lists;
  std::shared_ptr<const CacheImage> rings;
};

class CacheMemory {
 public:
  /// Of a sequence without tokens. Error where there are no addresses for it.
  explicit CacheMemory(const CacheShape& shape);

  std::byte* data() const { return memory_.data(); }
  const CacheLayout& layout() const { return layout_; }

  /// To be called before the tokens of positions from `position` on are written.
  void will_write(int64_t position);

  /// What is in it after `position` tokens, of which `back` may be taken back. What an earlier call has frozen and nobody has written since is not copied again.
  /// Error for want of memory; nothing has changed then.
  std::shared_ptr<const FrozenCache> freeze(int64_t position, int64_t back);
  /// Error for want of memory: nothing in it is known then.
  void go_on_from(const std::shared_ptr<const FrozenCache>& frozen);

 private:
  CacheLayout layout_;
  LazyMemory memory_;
  std::vector<FrozenCache::Lists> lists_;    // where the lists' rows of positions before frozen_to_ are mapped from
  int64_t frozen_to_ = 0;                    // nothing was written to these rows since
  std::shared_ptr<const FrozenCache> last_;  // null: something was written since
};

}  // namespace dsv4::ops
