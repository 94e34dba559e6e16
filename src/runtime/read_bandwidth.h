// The yardstick of decoding: how fast this machine reads memory, right now.
#pragma once

#include <cstdint>
#include <limits>

#include <tbb/task_arena.h>

#include "files/lazy_memory.h"

namespace dsv4 {

/// Memory that is far beyond the caches, to be read in passes between other measurements: machines are shared and their speed changes within seconds.
class ReadBandwidth {
 public:
  /// How a thread reads what it is handed: one linear stream, or four that lie far apart, 64 bytes of each by turns. A core has more lines on their way with
  /// four, so that they may be the faster ones.
  enum class Streams { kOne, kFour };

  /// 1 GiB in large pages, or a quarter of what is available if that is less. Error when not even 64 MiB are there. `spoken_for`: bytes that are still free and
  /// that others of the process will take.
  explicit ReadBandwidth(int threads, int64_t spoken_for = 0);

  /// GB/s (10^9 bytes) of one pass with the widest loads of the CPU over about so many bytes, at most half of the memory. It begins where the last pass of its
  /// kind ended, so that short ones read nothing that is in a cache. Pieces of 256 KiB are handed out to the threads as the ops hand out theirs: on a shared
  /// machine equal shares would not end together.
  double measure(Streams streams, int64_t bytes = std::numeric_limits<int64_t>::max());

 private:
  LazyMemory memory_;         // one half for each kind of pass
  tbb::task_arena arena_;     // of threads that OpenVINO's inferences use too: none of them waits beside ours
  int64_t next_[2] = {0, 0};  // pieces
};

}  // namespace dsv4
