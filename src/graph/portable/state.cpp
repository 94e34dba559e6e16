// ReadValue/Assign variables of the portable program.
#include "graph/portable/state.h"

#include "graph/portable/nodes.h"
#include "openvino/op/assign.hpp"
#include "openvino/op/broadcast.hpp"
#include "openvino/op/read_value.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

namespace {

Value zero_rows(const std::vector<Value>& dims) { return std::make_shared<op::v3::Broadcast>(f32(0.0f), shape_of(dims)); }

}  // namespace

State::State(const Value& beam_idx, const Value& batch) : beam_idx_(beam_idx), batch_(batch) {
  if (beam_idx_.get_node()) beam_idx_as_keys_ = reshape(beam_idx_, {-1, 1});  // Gather by [B,1] makes [B,1,rows,width] of [B,rows,width]
}

Value State::read(const std::string& name, const ov::PartialShape& shape, const Value& initial, const Value& beam_idx) {
  const auto variable = std::make_shared<ov::op::util::Variable>(ov::op::util::VariableInfo{shape, ov::element::f32, name});
  variables_[name] = variable;
  const Value past = std::make_shared<op::v6::ReadValue>(initial, variable);
  return gather(past, beam_idx, 0);
}

Value State::read_fixed(const std::string& name, int64_t rows, int64_t width) {
  const Value zeros = zero_rows({batch_, i32(static_cast<int32_t>(rows)), i32(static_cast<int32_t>(width))});
  return beam_idx_.get_node() ? read(name, {-1, rows, width}, zeros, beam_idx_) : zeros;
}

Value State::read_fixed_keys(const std::string& name, int64_t rows, int64_t width, bool rank3) {
  const Value r = i32(static_cast<int32_t>(rows)), w = i32(static_cast<int32_t>(width));
  const Value zeros = zero_rows({batch_, i32(1), r, w});
  if (!beam_idx_.get_node()) return zeros;
  return rank3 ? read(name, {-1, rows, width}, zero_rows({batch_, r, w}), beam_idx_as_keys_)
               : read(name, {-1, 1, rows, width}, zeros, beam_idx_);
}

Value State::read_growing(const std::string& name, int64_t width) {
  if (!beam_idx_.get_node()) return {};
  // A constant without rows: the CPU plugin does not reset a growing state whose initialiser is computed (docs/graph.md, State).
  return read(name, {-1, 1, -1, width}, f32(std::vector<float>{}, {1, 1, 0, width}), beam_idx_);
}

void State::write(const std::string& name, const Value& value) {
  if (!beam_idx_.get_node()) return;
  sinks_.push_back(std::make_shared<op::v6::Assign>(value, variables_.at(name)));
}

}  // namespace dsv4
