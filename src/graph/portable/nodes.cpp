// Short names for the standard OpenVINO nodes that the portable program is made of.
#include "graph/portable/nodes.h"

#include "openvino/core/runtime_attribute.hpp"
#include "openvino/op/add.hpp"
#include "openvino/op/concat.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/cum_sum.hpp"
#include "openvino/op/divide.hpp"
#include "openvino/op/equal.hpp"
#include "openvino/op/floor_mod.hpp"
#include "openvino/op/gather.hpp"
#include "openvino/op/greater.hpp"
#include "openvino/op/less_eq.hpp"
#include "openvino/op/logical_and.hpp"
#include "openvino/op/logical_or.hpp"
#include "openvino/op/matmul.hpp"
#include "openvino/op/maximum.hpp"
#include "openvino/op/minimum.hpp"
#include "openvino/op/multiply.hpp"
#include "openvino/op/power.hpp"
#include "openvino/op/range.hpp"
#include "openvino/op/reduce_mean.hpp"
#include "openvino/op/reduce_min.hpp"
#include "openvino/op/reduce_sum.hpp"
#include "openvino/op/reshape.hpp"
#include "openvino/op/select.hpp"
#include "openvino/op/softmax.hpp"
#include "openvino/op/sqrt.hpp"
#include "openvino/op/subtract.hpp"
#include "openvino/op/topk.hpp"
#include "openvino/op/variadic_split.hpp"

namespace dsv4::nodes {

namespace op = ov::op;

namespace {

template <class T>
Value constant(ov::element::Type type, const std::vector<T>& values, const std::vector<int64_t>& shape) {
  return std::make_shared<op::v0::Constant>(type, ov::Shape(shape.begin(), shape.end()), values);
}

// What ov::disable_fp16_compression attaches (its header is not in the SDK).
class Precise : public ov::RuntimeAttribute {
 public:
  OPENVINO_RTTI("precise", "0", ov::RuntimeAttribute)
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
};

}  // namespace

Value keep_f32(const Value& x) {
  x.get_node()->get_rt_info()[Precise::get_type_info_static()] = Precise();
  return x;
}

Value f32(float value) { return constant<float>(ov::element::f32, {value}, {}); }
Value f32(const std::vector<float>& values, const std::vector<int64_t>& shape) { return constant(ov::element::f32, values, shape); }
Value i32(int32_t value) { return constant<int32_t>(ov::element::i32, {value}, {}); }
Value i32(const std::vector<int32_t>& values) { return constant(ov::element::i32, values, {static_cast<int64_t>(values.size())}); }
Value i32(const std::vector<int32_t>& values, const std::vector<int64_t>& shape) { return constant(ov::element::i32, values, shape); }

Value add(const Value& a, const Value& b) { return std::make_shared<op::v1::Add>(a, b); }
Value sub(const Value& a, const Value& b) { return std::make_shared<op::v1::Subtract>(a, b); }
Value mul(const Value& a, const Value& b) { return std::make_shared<op::v1::Multiply>(a, b); }
Value div(const Value& a, const Value& b) { return std::make_shared<op::v1::Divide>(a, b); }
Value whole_div(const Value& a, const Value& b) { return div(sub(a, std::make_shared<op::v1::FloorMod>(a, b)), b); }
Value minimum(const Value& a, const Value& b) { return std::make_shared<op::v1::Minimum>(a, b); }
Value maximum(const Value& a, const Value& b) { return std::make_shared<op::v1::Maximum>(a, b); }
Value select(const Value& condition, const Value& then, const Value& otherwise) {
  return std::make_shared<op::v1::Select>(condition, then, otherwise);
}
Value logical_and(const Value& a, const Value& b) { return std::make_shared<op::v1::LogicalAnd>(a, b); }
Value less_equal(const Value& a, const Value& b) { return std::make_shared<op::v1::LessEqual>(a, b); }
Value to_f32(const Value& x) { return std::make_shared<op::v0::Convert>(x, ov::element::f32); }
Value to_i32(const Value& x) { return std::make_shared<op::v0::Convert>(x, ov::element::i32); }

Value reshape(const Value& x, const std::vector<int32_t>& shape) { return std::make_shared<op::v1::Reshape>(x, i32(shape), true); }

Value shape_of(const std::vector<Value>& dims) {
  std::vector<Value> parts;
  for (const Value& dim : dims) parts.push_back(dim.get_partial_shape().rank() == 0 ? reshape(dim, {1}) : dim);
  return concat(parts, 0);
}

Value reshape_to(const Value& x, const Value& shape) { return std::make_shared<op::v1::Reshape>(x, shape, false); }

Value concat(const std::vector<Value>& parts, int64_t axis) { return std::make_shared<op::v0::Concat>(ov::OutputVector(parts), axis); }

std::vector<Value> split(const Value& x, int64_t axis, const std::vector<int32_t>& lengths) {
  return std::make_shared<op::v1::VariadicSplit>(x, i32(static_cast<int32_t>(axis)), i32(lengths))->outputs();
}

Value gather(const Value& x, const Value& indices, int64_t axis, int64_t batch_dims) {
  return std::make_shared<op::v8::Gather>(x, indices, i32(static_cast<int32_t>(axis)), batch_dims);
}

Value matmul(const Value& a, const Value& b, bool transpose_a, bool transpose_b) {
  return std::make_shared<op::v0::MatMul>(a, b, transpose_a, transpose_b);
}

Value softmax(const Value& x, int64_t axis) { return std::make_shared<op::v8::Softmax>(x, axis); }

Value reduce_sum(const Value& x, int64_t axis, bool keep_dims) {
  return std::make_shared<op::v1::ReduceSum>(x, i32(std::vector<int32_t>{static_cast<int32_t>(axis)}), keep_dims);
}

Value range(const Value& n) { return std::make_shared<op::v4::Range>(i32(0), n, i32(1), ov::element::i32); }

Value rms_norm(const Value& x, const Value& weight, double eps) {
  const Value squares = std::make_shared<op::v1::Power>(x, f32(2.0f));
  const Value mean = std::make_shared<op::v1::ReduceMean>(squares, i32(std::vector<int32_t>{-1}), true);
  const Value root = std::make_shared<op::v0::Sqrt>(add(mean, f32(static_cast<float>(eps))));
  return mul(div(x, root), weight);
}

Value top_k(const Value& x, const Value& k, int64_t axis) {
  using TopK = op::v11::TopK;
  return std::make_shared<TopK>(x, k, axis, TopK::Mode::MAX, TopK::SortType::SORT_VALUES, ov::element::i32, true)->output(1);
}

Value largest_mask(const Value& x, const Value& k, int64_t axis) {
  using TopK = op::v11::TopK;
  const Value axes = i32(std::vector<int32_t>{static_cast<int32_t>(axis)});
  const Value best =
      keep_f32(std::make_shared<TopK>(x, k, axis, TopK::Mode::MAX, TopK::SortType::NONE, ov::element::i32, false)->output(0));
  const Value least = keep_f32(std::make_shared<op::v1::ReduceMin>(best, axes, true));  // the k-th largest value
  const Value above = keep_f32(std::make_shared<op::v1::Greater>(x, least)), level = keep_f32(std::make_shared<op::v1::Equal>(x, least));
  const Value room = sub(k, reduce_sum(to_i32(above), axis, true));  // how many of the equal ones
  const Value place = std::make_shared<op::v0::CumSum>(to_i32(level), i32(static_cast<int32_t>(axis)));
  return std::make_shared<op::v1::LogicalOr>(above, logical_and(level, less_equal(place, room)));
}

Value ascending(const Value& x, const Value& n) {
  using TopK = op::v11::TopK;
  const Value keys = add(mul(x, n), range(n));  // no two are equal: their order needs no stable sort
  return std::make_shared<TopK>(keys, n, 0, TopK::Mode::MIN, TopK::SortType::SORT_VALUES, ov::element::i32, false)->output(1);
}

}  // namespace dsv4::nodes
