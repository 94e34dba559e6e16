// Matrices of an expert stack picked as they are stored, and only they decompressed: the sub-graph of `--experts gather`.
#pragma once

#include <string>

#include "openvino/core/node_output.hpp"
#include "openvino/core/shape.hpp"
#include "openvino/core/type/element_type.hpp"

namespace dsv4 {

/// How a constant is declared so that Gather picks its first axis in every OpenVINO from 2025.4 on: types of less than a byte and E8M0 as bytes
/// [E, bytes of one entry], others as they are. The bytes of the .bin are the same.
struct GatherView {
  ov::element::Type type;
  ov::Shape shape;
};

/// `type` [E, ...]. Error naming `name` when an entry of the first axis does not begin at a whole byte.
GatherView gather_view(ov::element::Type type, const ov::Shape& shape, const std::string& name);

/// A stored stack: constants declared as gather_view says, and what they hold.
struct StoredStack {
  struct Part {
    ov::Output<ov::Node> constant;  ///< no node: not there
    ov::element::Type type;         ///< of the values: f32, f16, i8, u8, i4, u4, f4e2m1, f8e8m0
    ov::Shape shape;                ///< [E, out, in] or [E, out, groups, group]; scales and zero points 1 in the last place
  };
  Part values, scales, zero_points;
};

/// (values - zero_points) * scales of the matrices `ids` (i32 [n]) as float32 [n, out, in].
ov::Output<ov::Node> gather_stack(const StoredStack& stack, const ov::Output<ov::Node>& ids);

}  // namespace dsv4
