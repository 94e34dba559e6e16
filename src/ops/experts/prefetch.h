// Asking the kernel for the pages of weights before they are read, so that the disk works while something else is computed, on many requests at once.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/matrix/packed_matrix.h"

namespace dsv4::ops {

/// One use: add() the matrices that will be read, start(), read them, and the destructor notes whether that was of use.
class Prefetch {
 public:
  Prefetch() = default;
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// Codes, scales and zero points of a plain matrix in a mapped file; pages that are in memory cost about 0.4 us a tensor.
  void add(const PackedMatrix& matrix);
  /// Never fails: it is advice.
  void start();

 private:
  struct Pages {
    std::byte* first;
    size_t bytes;
  };
  void add(const std::byte* begin, int64_t bytes);

  std::vector<Pages> missing_;
  int64_t faults_ = -1;  // major faults of the process so far; -1: nothing was looked at
};

}  // namespace dsv4::ops
