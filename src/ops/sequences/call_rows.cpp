// Reading positions and masks.
#include "ops/sequences/call_rows.h"

#include <algorithm>

#include "openvino/core/except.hpp"

namespace dsv4::ops {

std::vector<CallRow> read_call_rows(const ov::Tensor& positions, const ov::Tensor& mask, int64_t capacity) {
  const ov::Shape shape = positions.get_shape(), mask_shape = mask.get_shape();
  OPENVINO_ASSERT(shape.size() == 2 && mask_shape.size() == 2 && mask_shape[0] == shape[0] && shape[1] >= 1, "Sequences: position_ids ",
                  shape, " and attention_mask ", mask_shape, "; expected [B,S] and [B,P+S]");
  const auto columns = static_cast<int64_t>(shape[1]), masked = static_cast<int64_t>(mask_shape[1]);
  std::vector<CallRow> rows;
  for (size_t b = 0; b < shape[0]; ++b) {
    const int64_t last = positions.data<const int32_t>()[(static_cast<int64_t>(b) + 1) * columns - 1];
    OPENVINO_ASSERT(last >= 0 && last < capacity, "Sequences: row ", b, " ends at position ", last, "; expected 0 to ", capacity - 1);
    const int32_t* row = mask.data<const int32_t>() + static_cast<int64_t>(b) * masked;
    const int32_t* first = std::find_if(row, row + masked, [](int32_t seen) { return seen != 0; });
    OPENVINO_ASSERT(std::all_of(first, row + masked, [](int32_t seen) { return seen == 1; }), "Sequences: attention_mask of row ", b,
                    " has holes or padding on the right; pad on the left (padding_side=\"left\")");
    OPENVINO_ASSERT(row + masked - first == last + 1, "Sequences: attention_mask of row ", b, " has ", row + masked - first,
                    " ones, and its last position is ", last, "; expected a one for each of its ", last + 1, " tokens");
    const int64_t begin = last - (columns - 1);
    rows.push_back({std::max<int64_t>(0, -begin), std::max<int64_t>(0, begin)});
  }
  return rows;
}

}  // namespace dsv4::ops
