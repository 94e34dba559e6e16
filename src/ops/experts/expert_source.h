// Where a layer's routed experts lie when they are multiplied: in a mapped file, in memory, or in a cache that reads them meanwhile.
//
// A call names its experts once and gets leases: the order in which to use them, in groups, and the matrices of a group as they come into memory. The order of
// arrival decides only when a product is computed; sums are made from results in an order of their own, so that logits do not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ops/matrix/packed_matrix.h"

namespace dsv4::ops {

/// The products of an expert, in the order in which they are computed.
enum class ExpertPart { kGateUp, kDown };

struct ExpertDemand {
  int32_t expert = 0;
  int32_t tokens = 0;  ///< of the call that are routed to it
};

/// Of one call, which is their only user; given back by the destructor.
class ExpertLeases {
 public:
  /// Experts [begin, end) of order().
  struct Group {
    size_t begin = 0, end = 0;
    bool empty() const { return begin == end; }
  };

  virtual ~ExpertLeases() = default;

  /// All experts of the call, a group behind the other.
  virtual std::span<const ExpertDemand> order() const = 0;
  /// The next group, empty after the last. The one before is given back; what the one after it needs is asked for and comes meanwhile.
  virtual Group next() = 0;
  /// Of expert order()[i] in this group; to be read once arrived() has named it.
  virtual PackedMatrix matrix(size_t i, ExpertPart part) const = 0;
  /// Indices in order() of this group's experts whose matrix is there and that were not named for this part before, valid until the next call; where there are
  /// none it waits for some, if `wait` says so. Of a part all experts have to be asked for before the next part begins. Error for a matrix that cannot be read.
  virtual std::span<const int32_t> arrived(ExpertPart part, bool wait) = 0;
};

/// Thread-safe: calls of several sequences may have leases at once.
class ExpertSource {
 public:
  virtual ~ExpertSource() = default;
  /// `experts` are different ones.
  virtual std::unique_ptr<ExpertLeases> acquire(int64_t layer, std::span<const ExpertDemand> experts) = 0;
};

/// Is told which experts tokens are routed to.
class RouteObserver {
 public:
  virtual ~RouteObserver() = default;
  /// `experts` [T,K] of the next T tokens of a call. Calls come one after another, the layers of a call in their order.
  virtual void routed(int64_t layer, std::span<const int32_t> experts) = 0;
};

/// What an op of a layer works with beside its weights.
struct ExpertConnection {
  std::shared_ptr<ExpertSource> source = {};     ///< null: the experts are read where the op's weights lie
  std::shared_ptr<RouteObserver> observer = {};  ///< may be null
  int64_t layer = 0;                             ///< for both
};

}  // namespace dsv4::ops
