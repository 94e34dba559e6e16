// The sequences of the requests of a model, by the handles that their states hold: a state is a few numbers, the caches are here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "ops/attention/cache_memory.h"
#include "ops/attention/cache_pool.h"

namespace dsv4::ops {

/// What a state holds of a sequence. Each call gives its sequences new ones, so that a state that is put back after the sequence went on names nothing.
struct SequenceHandle {
  int32_t stamp = 0;    ///< of one call and row in this process; 0: no tokens yet
  int32_t process = 0;  ///< a number of this process's own: a state may have been written to a file by another

  bool operator==(const SequenceHandle&) const = default;
};
static_assert(sizeof(SequenceHandle) == 8, "two values of a state");

/// Any thread.
class SequenceTable {
 public:
  /// What is kept between calls: a request that begins anew says nothing of the sequence that it leaves. The one that was used longest ago goes first; those of the
  /// call that adds to it stay in any case.
  struct Limits {
    size_t sequences = 1024;
    uint64_t bytes = 0;
  };
  /// By default a quarter of the machine's memory.
  static Limits default_limits();

  explicit SequenceTable(const CacheShape& shape, const Limits& limits = default_limits()) : shape_(shape), limits_(limits) {}

  struct Sequence {
    explicit Sequence(const CacheShape& shape) : memory(shape), slot({memory.data(), static_cast<size_t>(memory.layout().bytes())}) {}
    CacheMemory memory;
    CacheSlot slot;
    int64_t length = 0;  ///< tokens
  };

  /// How a row of a call goes on.
  struct Row {
    SequenceHandle from;
    int64_t before = 0;  ///< tokens that the caller says it has
  };
  /// The sequences of a call's rows, which nobody else has meanwhile: a row of several that go on from the same one has a copy. ov::Exception, one line, for a
  /// handle of nothing that is kept or a sequence of another length; nothing has changed then. `state` names what the caller held.
  std::vector<std::unique_ptr<Sequence>> take(std::span<const Row> rows, std::span<const SequenceHandle> state);
  /// Gives them back after a call that succeeded, with their new lengths; returns what names them. Those of a call that failed are lost.
  std::vector<SequenceHandle> keep(std::vector<std::unique_ptr<Sequence>> sequences);

  size_t size() const;
  int64_t capacity() const { return shape_.capacity; }  ///< tokens of a sequence

 private:
  struct Kept {
    std::unique_ptr<Sequence> sequence;
    uint64_t bytes = 0;
    uint64_t used = 0;
  };

  const CacheShape shape_;
  const Limits limits_;
  mutable std::mutex mutex_;
  std::map<int32_t, Kept> kept_;
  uint64_t bytes_ = 0, clock_ = 0;
};

}  // namespace dsv4::ops
