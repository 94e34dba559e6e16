// Asking the kernel for the pages of weights before they are read, so that the disk works while something else is computed, on many requests at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/matrix/packed_matrix.h"

namespace dsv4::ops {

/// One use: add() the matrices that will be read, start(), read them; more of them later. The destructor notes whether that was of use.
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

  std::vector<Pages> missing_;  // that start() has not asked for
  bool asked_ = false;
  int64_t faults_ = -1;  // major faults of the process before; -1: nothing was looked at
};

/// Matrices that are read in a known order, some at a time: a model larger than memory has no room for all that a prompt needs of a layer, and what is asked
/// for too early is gone again when it is read.
class ReadAhead {
 public:
  explicit ReadAhead(std::span<const PackedMatrix> order) : order_(order) {}

  /// How many of the next `most` matrices to read now, at least one; asks for them and for some that follow.
  size_t next(size_t most);

 private:
  std::span<const PackedMatrix> order_;
  size_t read_ = 0, asked_ = 0;  // matrices
  int64_t read_bytes_ = 0, asked_bytes_ = 0;
  Prefetch prefetch_;
};

}  // namespace dsv4::ops
