// What a call of op Sequences says of its rows: where each begins, and whether mask and positions are those of a row that can be computed.
#pragma once

#include <cstdint>
#include <vector>

#include "openvino/runtime/tensor.hpp"

namespace dsv4::ops {

struct CallRow {
  int64_t padding = 0;  ///< columns on the left that hold no token
  int64_t before = 0;   ///< tokens of the sequence before the call
};

/// Of positions i32 [B,S] and mask i32 [B,M]. As in the portable program a row ends at the position of its last column, and columns of positions below 0 are
/// padding. ov::Exception, one line that names the row, for a mask that is not zeros and then a one for each token so far: padding on the right, holes; and for
/// more than `capacity` tokens.
std::vector<CallRow> read_call_rows(const ov::Tensor& positions, const ov::Tensor& mask, int64_t capacity);

}  // namespace dsv4::ops
