// Decompression sub-graphs, node for node those of nncf 3.4.0.
#include "convert/decompression.h"

#include "dsv4/error.h"
#include "openvino/core/runtime_attribute.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/multiply.hpp"
#include "openvino/op/reshape.hpp"
#include "openvino/op/subtract.hpp"

namespace dsv4 {

namespace op = ov::op;
using Value = ov::Output<ov::Node>;

namespace {

// What ov::mark_as_decompression attaches: plugins then keep the f16 constant packed instead of folding the Convert.
class Decompression : public ov::RuntimeAttribute {
 public:
  OPENVINO_RTTI("decompression", "0", ov::RuntimeAttribute);
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
};

Value convert(const Value& x, ov::element::Type type) { return std::make_shared<op::v0::Convert>(x, type); }

Value named(const Value& x, const std::string& name) {
  x.get_node()->set_friendly_name(name);
  return x;
}

}  // namespace

Value decompress(const StoredNodes& stored, const DecompressionNames& names, const std::vector<int64_t>& shape) {
  const ov::element::Type type = stored.values.get_element_type();
  if (!stored.scales.get_node()) {
    if (type == ov::element::f32) return stored.values;
    const Value x = named(convert(stored.values, ov::element::f32), names.weight + "/decompressed");
    x.get_node()->get_rt_info()[Decompression::get_type_info_static()] = Decompression();
    return x;
  }
  // Published FP4 and FP8 go through float32: float16 does not hold every scale of theirs. Integers go through float16, as NNCF's do; plugins that recognise the
  // sub-graph compute (value - zero point) * scale in float32.
  const ov::element::Type work = type == ov::element::f4e2m1 || type == ov::element::f8e4m3 ? ov::element::f32 : ov::element::f16;
  Value x = convert(stored.values, work);
  if (stored.zero_points.get_node()) {
    x = named(std::make_shared<op::v1::Subtract>(x, convert(stored.zero_points, work)), names.weight + "/zero_point/subtract");
  }
  const Value scales = stored.scales.get_element_type() == work ? stored.scales : convert(stored.scales, work);
  const std::string multiply = concat(names.weight, "/fq_weights_", names.port);
  x = named(std::make_shared<op::v1::Multiply>(x, scales), multiply);
  if (x.get_partial_shape().size() != shape.size()) {
    x = std::make_shared<op::v1::Reshape>(x, op::v0::Constant::create(ov::element::i64, {shape.size()}, shape), false);
  }
  return work == ov::element::f32 ? x : named(convert(x, ov::element::f32), multiply + "/convert");
}

}  // namespace dsv4
