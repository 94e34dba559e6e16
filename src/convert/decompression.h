// From stored values to the float32 that blocks compute with: the sub-graph that NNCF emits and plugins recognise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "openvino/core/node_output.hpp"

namespace dsv4 {

/// A weight's nodes as stored, whole or some rows of its first axis.
struct StoredNodes {
  ov::Output<ov::Node> values;       ///< [..., groups, group] or [..., in]; FP8 [..., blocks, rows, groups, group]
  ov::Output<ov::Node> scales;       ///< [..., groups, 1] or [..., 1]; no node: not compressed
  ov::Output<ov::Node> zero_points;  ///< like scales, in the type of the values; no node: symmetric
};

struct DecompressionNames {
  std::string weight;  ///< friendly name of the values; the other nodes' names begin with it, as NNCF's do
  int64_t port = 1;    ///< input of the consumer: 1 for matrix products, 0 for Gather
};

/// (values - zero_points) * scales as float32, reshaped to `shape` (one dim may be -1) where values are grouped. Values in float32 pass as they are.
ov::Output<ov::Node> decompress(const StoredNodes& stored, const DecompressionNames& names, const std::vector<int64_t>& shape);

}  // namespace dsv4
