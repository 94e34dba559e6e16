// The yardstick of decoding: how fast this machine reads memory, right now.
#pragma once

#include "runtime/lazy_memory.h"

namespace dsv4 {

/// Memory that is far beyond the caches, to be read again and again between other measurements: machines are shared and their speed changes by the minute.
class ReadBandwidth {
 public:
  /// 1 GiB in large pages, or a quarter of what is available if that is less. Error when not even 64 MiB are there.
  explicit ReadBandwidth(int threads);

  /// GB/s (10^9 bytes) of one pass, each thread over a part of its own with the widest loads of the CPU.
  double measure();

 private:
  LazyMemory memory_;
  int threads_;
};

}  // namespace dsv4
