// Picking and decompressing matrices of an expert stack with operations that old OpenVINO releases compute rightly and without unpacking the stack.
#include "convert/gathered_stack.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "dsv4/error.h"
#include "formats/numbers.h"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/gather.hpp"
#include "openvino/op/multiply.hpp"
#include "openvino/op/reshape.hpp"
#include "openvino/op/subtract.hpp"

namespace dsv4 {

namespace op = ov::op;
using Value = ov::Output<ov::Node>;

namespace {

bool is_nibble(ov::element::Type type) { return type == ov::element::u4 || type == ov::element::i4 || type == ov::element::f4e2m1; }

float nibble_value(ov::element::Type type, int code) {
  constexpr std::array<float, 8> kE2m1 = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  if (type == ov::element::u4) return static_cast<float>(code);
  if (type == ov::element::i4) return static_cast<float>(code < 8 ? code : code - 16);
  const float magnitude = kE2m1[static_cast<size_t>(code % 8)];
  return code < 8 ? magnitude : -magnitude;
}

Value axis_0() { return op::v0::Constant::create(ov::element::i32, {}, {0}); }

Value to_f32(const Value& x) {
  return x.get_element_type() == ov::element::f32 ? x : Value(std::make_shared<op::v0::Convert>(x, ov::element::f32));
}

/// The values that bytes stand for: one row of `table` [256, values a byte] for each byte.
Value look_up(const Value& bytes, const std::vector<float>& table) {
  const auto rows = std::make_shared<op::v0::Constant>(ov::element::f32, ov::Shape{256, table.size() / 256}, table);
  return std::make_shared<op::v8::Gather>(rows, std::make_shared<op::v0::Convert>(bytes, ov::element::i32), axis_0());
}

/// Entries `ids` of a part as float32 [n, shape[1], ...].
Value gather_part(const StoredStack::Part& part, const Value& ids) {
  const Value picked = std::make_shared<op::v8::Gather>(part.constant, ids, axis_0());
  std::vector<float> table;
  if (is_nibble(part.type)) {
    for (int byte = 0; byte < 256; ++byte) {  // the low nibble comes first
      table.push_back(nibble_value(part.type, byte % 16));
      table.push_back(nibble_value(part.type, byte / 16));
    }
  } else if (part.type == ov::element::f8e4m3) {
    table.assign(kF8E4M3Values.begin(), kF8E4M3Values.end());
  } else if (part.type == ov::element::f8e8m0) {
    for (int byte = 0; byte < 255; ++byte) table.push_back(std::ldexp(1.0f, byte - 127));
    table.push_back(std::numeric_limits<float>::quiet_NaN());
  } else {
    return to_f32(picked);
  }
  std::vector<int32_t> shape(part.shape.begin(), part.shape.end());
  shape[0] = -1;
  return std::make_shared<op::v1::Reshape>(look_up(picked, table), op::v0::Constant::create(ov::element::i32, {shape.size()}, shape),
                                           false);
}

}  // namespace

GatherView gather_view(ov::element::Type type, const ov::Shape& shape, const std::string& name) {
  if (type == ov::element::f8e4m3) return {ov::element::u8, shape};  // whose blocks nothing else would tell
  if (!is_nibble(type) && type != ov::element::f8e8m0) return {type, shape};
  const size_t bits = ov::shape_size(shape) / shape[0] * type.bitwidth();
  if (bits % 8 != 0) {
    fail(name, ": an expert's ", bits / type.bitwidth(), " values of type ", type.to_string(),
         " do not fill whole bytes; use --experts grouped or another group size");
  }
  return {ov::element::u8, {shape[0], bits / 8}};
}

Value gather_stack(const StoredStack& stack, const Value& ids) {
  Value x = gather_part(stack.values, ids);
  if (stack.zero_points.constant.get_node()) x = std::make_shared<op::v1::Subtract>(x, gather_part(stack.zero_points, ids));
  if (stack.scales.constant.get_node()) x = std::make_shared<op::v1::Multiply>(x, gather_part(stack.scales, ids));
  const ov::Shape& shape = stack.values.shape;
  if (shape.size() == 3) return x;
  const bool blocks = shape.size() == 5;  // FP8: [E, blocks, rows, groups, group], else [E, rows, groups, group]
  const size_t rows = blocks ? shape[1] * shape[2] : shape[1], columns = shape[shape.size() - 2] * shape.back();
  const std::vector<int32_t> matrices = {-1, static_cast<int32_t>(rows), static_cast<int32_t>(columns)};
  return std::make_shared<op::v1::Reshape>(x, op::v0::Constant::create(ov::element::i32, {3}, matrices), false);
}

}  // namespace dsv4
