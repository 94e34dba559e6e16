// Nodes without data that stand for constants of a .bin.
#include "convert/placeholders.h"

#include "convert/decompression.h"
#include "convert/gathered_stack.h"
#include "dsv4/error.h"
#include "openvino/op/constant.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/gather.hpp"

namespace dsv4 {

namespace op = ov::op;

namespace {

ov::Output<ov::Node> node_of(const PlannedConstant& c, const std::string& name) {
  const auto node = std::make_shared<StoredConstant>(c.type, c.shape, c.offset, c.bytes);
  node->set_friendly_name(name);
  return node;
}

StoredNodes nodes_of(const PlannedWeight& weight) {
  const std::string& name = weight.unit.name;
  StoredNodes nodes{node_of(weight.values, name), {}, {}};
  if (weight.scales.bytes > 0) nodes.scales = node_of(weight.scales, name + "/scale");
  if (weight.zero_points.bytes > 0) nodes.zero_points = node_of(weight.zero_points, name + "/zero_point");
  return nodes;
}

std::vector<int64_t> dims(const ov::Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

StoredConstant::StoredConstant(ov::element::Type type, const ov::Shape& shape, uint64_t offset, uint64_t size)
    : type_(type), shape_(shape), offset_(static_cast<int64_t>(offset)), size_(static_cast<int64_t>(size)) {
  constructor_validate_and_infer_types();
}

void StoredConstant::validate_and_infer_types() { set_output_type(0, type_, shape_); }

std::shared_ptr<ov::Node> StoredConstant::clone_with_new_inputs(const ov::OutputVector&) const {
  return std::make_shared<StoredConstant>(type_, shape_, static_cast<uint64_t>(offset_), static_cast<uint64_t>(size_));
}

bool StoredConstant::visit_attributes(ov::AttributeVisitor& visitor) {
  visitor.on_attribute("element_type", type_);
  visitor.on_attribute("shape", shape_);
  visitor.on_attribute("offset", offset_);
  visitor.on_attribute("size", size_);
  return true;
}

const PlannedWeight& PlaceholderWeights::use(const std::string& name) {
  const PlannedWeight& planned = plan_.at(name);
  used_.insert(name);
  return planned;
}

ov::Output<ov::Node> PlaceholderWeights::matrix(const std::string& name) {
  const PlannedWeight& w = use(name);
  return decompress(nodes_of(w), {name, 1}, dims(w.unit.shape));
}

ov::Output<ov::Node> PlaceholderWeights::matrix_rows(const std::string& name, int64_t index, int64_t) {
  return matrix(row_group_name(name, index));
}

ov::Output<ov::Node> PlaceholderWeights::gather_rows(const std::string& name, const ov::Output<ov::Node>& ids) {
  const PlannedWeight& w = use(name);
  const auto axis = op::v0::Constant::create(ov::element::i32, {}, {0});
  const StoredNodes stored = nodes_of(w);
  // Float rows are picked first: only they are converted. Integers are decompressed first, in the form that plugins fuse with the Gather.
  if (stored.scales.get_node()) return std::make_shared<op::v8::Gather>(decompress(stored, {name, 0}, dims(w.unit.shape)), ids, axis);
  const auto rows = std::make_shared<op::v8::Gather>(stored.values, ids, axis);
  if (w.values.type == ov::element::f32) return rows;
  return std::make_shared<op::v0::Convert>(rows, ov::element::f32);
}

ov::Output<ov::Node> PlaceholderWeights::gather_matrices(const std::string& name, const ov::Output<ov::Node>& ids) {
  const PlannedWeight& w = use(name);
  const auto part = [&](const PlannedConstant& c, const char* suffix) -> StoredStack::Part {
    if (c.bytes == 0) return {};
    const GatherView view = gather_view(c.type, c.shape, name);
    return {node_of({view.type, view.shape, c.offset, c.bytes}, name + suffix), c.type, c.shape};
  };
  return gather_stack({part(w.values, ""), part(w.scales, "/scale"), part(w.zero_points, "/zero_point")}, ids);
}

ov::Output<ov::Node> PlaceholderWeights::exact(const std::string& name) {
  const PlannedWeight& w = use(name);
  if (w.values.type != ov::element::f32 && w.values.type != ov::element::i32)
    fail("the weight ", name, " is needed exactly but is stored as ", w.values.type.to_string());
  return node_of(w.values, name);
}

std::vector<std::string> PlaceholderWeights::unused() const {
  std::vector<std::string> names;
  for (const PlannedWeight& w : plan_.weights) {
    if (!used_.contains(w.unit.name)) names.push_back(w.unit.name);
  }
  return names;
}

}  // namespace dsv4
