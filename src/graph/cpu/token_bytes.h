// What one token reads of the weights, by part: counted while the CPU program is built.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dsv4/active_bytes.h"
#include "ops/support/op_times.h"

namespace dsv4 {

struct TokenBytes {
  ActiveBytes active;  ///< at positions where all of it is read
  std::array<int64_t, ops::kOpParts>
      by_part{};  ///< the same bytes by the part of the ops in whose time they are read: the shared expert's with the experts'

  /// The queries of a layer's indexer: only tokens that see more entries than they may select compute them.
  struct IndexQueries {
    int64_t first_position = 0;  ///< of a token that does
    int64_t bytes = 0;
  };
  std::vector<IndexQueries> index_queries;

  /// Counts weights in a part and in a member of `active`.
  void add(ops::OpPart part, int64_t ActiveBytes::*group, int64_t bytes) {
    by_part[static_cast<size_t>(part)] += bytes;
    active.*group += bytes;
  }

  /// What the token at this position reads.
  TokenBytes at(int64_t position) const {
    TokenBytes bytes = *this;
    for (const IndexQueries& queries : index_queries) {
      if (position < queries.first_position) bytes.add(ops::OpPart::kAttentionQueries, &ActiveBytes::dense, -queries.bytes);
    }
    return bytes;
  }
};

}  // namespace dsv4
