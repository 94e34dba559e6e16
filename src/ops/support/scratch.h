// Working memory of one call of an op: taken from a pool, so that a call allocates nothing once its sizes have been seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace dsv4::ops {

/// Not thread_local memory: a thread that waits in a parallel region may run another session's op meanwhile. Made at the head of evaluate(), gone at its
/// end; several may be in use at once. take() is for the calling thread only, outside parallel regions.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// n values, not initialised, aligned to 64 bytes, valid until the Scratch ends.
  template <class T>
  T* take(int64_t n) {
    return static_cast<T*>(static_cast<void*>(take_bytes(n * static_cast<int64_t>(sizeof(T)))));
  }

  struct Block {
    std::unique_ptr<std::byte[]> memory;
    int64_t size = 0;
  };
  /// What one call works in; between calls a link of the pool's list, so that giving it back allocates nothing.
  struct Blocks {
    std::vector<Block> list;
    int64_t expected = 0;  ///< bytes that the call before took in several blocks: the next one begins with a block of that size
    std::unique_ptr<Blocks> next;
  };

 private:
  std::byte* take_bytes(int64_t n);
  void add_block(int64_t least);

  std::unique_ptr<Blocks> blocks_;
  size_t block_ = 0;  // the one being filled
  int64_t used_ = 0;  // bytes of it
};

}  // namespace dsv4::ops
