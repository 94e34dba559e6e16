// How much of the weights one token reads: what decoding is bound by.
#pragma once

#include <cstdint>

namespace dsv4 {

/// Bytes of weights that one token reads, by part.
struct ActiveBytes {
  int64_t head = 0;
  /// Everything else that every token reads: attention, shared expert, routers, hyper-connections, a row of the embedding and of hash tables.
  int64_t dense = 0;
  int64_t experts = 0;  ///< of the routed experts that are selected

  int64_t total() const { return head + dense + experts; }
};

}  // namespace dsv4
