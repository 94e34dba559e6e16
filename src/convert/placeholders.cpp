// Nodes without data that stand for constants of a .bin.
#include "convert/placeholders.h"

#include "dsv4/error.h"
#include "openvino/core/runtime_attribute.hpp"
#include "openvino/opsets/opset15.hpp"

namespace dsv4 {

namespace op = ov::opset15;

namespace {

// What ov::mark_as_decompression attaches: plugins then keep the f16 constant packed instead of folding the Convert.
class Decompression : public ov::RuntimeAttribute {
 public:
  OPENVINO_RTTI("decompression", "0", ov::RuntimeAttribute);
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
};

ov::Output<ov::Node> constant(const std::string& name, ov::element::Type type, const ov::Shape& shape, uint64_t offset, uint64_t bytes) {
  const auto node = std::make_shared<StoredConstant>(type, shape, offset, bytes);
  node->set_friendly_name(name);
  return node;
}

ov::Output<ov::Node> as_f32(const ov::Output<ov::Node>& stored) {
  if (stored.get_element_type() == ov::element::f32) return stored;
  const auto convert = std::make_shared<op::Convert>(stored, ov::element::f32);
  convert->set_friendly_name(stored.get_node()->get_friendly_name() + "/decompressed");
  convert->get_rt_info()[Decompression::get_type_info_static()] = Decompression();
  return convert;
}

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

const PlannedConstant& PlaceholderWeights::use(const std::string& name) {
  const PlannedConstant& planned = plan_.at(name);
  used_.insert(name);
  return planned;
}

ov::Output<ov::Node> PlaceholderWeights::matrix(const std::string& name) {
  const PlannedConstant& c = use(name);
  return as_f32(constant(c.name, c.type, c.shape, c.offset, c.bytes));
}

ov::Output<ov::Node> PlaceholderWeights::matrix_rows(const std::string& name, int64_t index, int64_t count) {
  const PlannedConstant& c = use(name);
  const size_t groups = static_cast<size_t>(count), group = static_cast<size_t>(index);
  if (c.shape.size() != 2 || c.shape[0] % groups != 0) fail("the rows of ", name, " do not divide into ", count, " groups");
  const uint64_t bytes = c.bytes / groups;
  return as_f32(constant(concat(name, "/rows.", index), c.type, {c.shape[0] / groups, c.shape[1]}, c.offset + group * bytes, bytes));
}

ov::Output<ov::Node> PlaceholderWeights::gather_rows(const std::string& name, const ov::Output<ov::Node>& ids) {
  const PlannedConstant& c = use(name);
  // Gather first: only the picked rows are converted.
  const auto rows = std::make_shared<op::Gather>(constant(c.name, c.type, c.shape, c.offset, c.bytes), ids,
                                                 op::Constant::create(ov::element::i32, {}, {0}));
  if (c.type == ov::element::f32) return rows;
  return std::make_shared<op::Convert>(rows, ov::element::f32);
}

ov::Output<ov::Node> PlaceholderWeights::exact(const std::string& name) {
  const PlannedConstant& c = use(name);
  if (c.type != ov::element::f32 && c.type != ov::element::i32)
    fail("the weight ", name, " is needed exactly but is stored as ", c.type.to_string());
  return constant(c.name, c.type, c.shape, c.offset, c.bytes);
}

std::vector<std::string> PlaceholderWeights::unused() const {
  std::vector<std::string> names;
  for (const PlannedConstant& c : plan_.constants) {
    if (!used_.contains(c.name)) names.push_back(c.name);
  }
  return names;
}

}  // namespace dsv4
