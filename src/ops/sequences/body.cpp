// Slots, steps and a call of the program.
#include "ops/sequences/body.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "openvino/op/constant.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/op/result.hpp"
#include "ops/attention/runs.h"

namespace dsv4::ops {

namespace {

constexpr const char* kRemedy = "; make the folder again with this version: dsv4 convert --program cpu";

}  // namespace

Body::Body(const std::shared_ptr<ov::Model>& model) : model_(model) {
  OPENVINO_ASSERT(model_ != nullptr, "Sequences: no body", kRemedy);
  OPENVINO_ASSERT(model_->get_results().size() == 1 && model_->get_sinks().empty() && model_->get_variables().empty(),
                  "Sequences: the body has ", model_->get_results().size(), " results; expected one, and no state", kRemedy);
  const auto& result = model_->get_results()[0];
  const ov::PartialShape& logits = result->get_input_partial_shape(0);  // [n,V]
  OPENVINO_ASSERT(result->get_input_element_type(0) == ov::element::f32 && logits.rank() == 2 && logits[1].is_static(),
                  "Sequences: the body gives ", result->get_input_element_type(0), " ", logits, "; expected f32 [n,V]", kRemedy);
  vocabulary_ = logits[1].get_length();
  add_steps();
}

size_t Body::parameter(const char* name, ov::element::Type type) const {
  const auto& parameters = model_->get_parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i]->get_friendly_name() == name && parameters[i]->get_element_type() == type) return i;
  }
  OPENVINO_THROW("Sequences: the body has no input ", name, " of ", type, kRemedy);
}

void Body::add_steps() {
  const auto& parameters = model_->get_parameters();
  OPENVINO_ASSERT(parameters.size() == 3, "Sequences: the body has ", parameters.size(), " inputs; expected 3", kRemedy);
  ids_ = parameter("input_ids", ov::element::i32);
  runs_ = parameter("runs", ov::element::i32);
  rows_ = parameter("logit_rows", ov::element::i32);

  std::map<std::pair<const ov::Node*, size_t>, size_t> slot_of;  // of an output
  for (size_t i = 0; i < parameters.size(); ++i) slot_of[{parameters[i].get(), 0}] = i;
  fixed_.resize(parameters.size());
  std::map<const ov::Node*, size_t> last_use;  // step
  const ov::NodeVector ordered = model_->get_ordered_ops();
  for (size_t i = 0; i < ordered.size(); ++i) {
    for (const auto& input : ordered[i]->input_values()) last_use[input.get_node()] = i;
  }
  const ov::Output<ov::Node> logits = model_->get_results()[0]->input_value(0);
  std::vector<size_t> free;                        // slots that nothing reads any more
  std::map<size_t, std::vector<size_t>> freed_at;  // by step
  for (size_t i = 0; i < ordered.size(); ++i) {
    const std::shared_ptr<ov::Node>& node = ordered[i];
    if (ov::as_type<ov::op::v0::Parameter>(node.get()) || ov::as_type<ov::op::v0::Result>(node.get())) continue;
    if (const auto constant = ov::as_type<ov::op::v0::Constant>(node.get())) {
      slot_of[{node.get(), 0}] = fixed_.size();
      fixed_.emplace_back(constant->get_element_type(), constant->get_shape(), const_cast<void*>(constant->get_data_ptr()));
      continue;
    }
    OPENVINO_ASSERT(node->has_evaluate(), "Sequences: the body has a node ", node->get_type_name(), ", which cannot be computed", kRemedy);
    if (node->get_input_size() == 0) {
      OPENVINO_ASSERT(node->get_output_size() == 1, "Sequences: the body has a node ", node->get_type_name(), " without inputs", kRemedy);
      ov::TensorVector values = {ov::Tensor(node->get_output_element_type(0), node->get_output_shape(0))};
      OPENVINO_ASSERT(node->evaluate(values, {}), "Sequences: ", node->get_type_name(), " has no values");
      slot_of[{node.get(), 0}] = fixed_.size();
      fixed_.push_back(values[0]);
      continue;
    }
    Step step{node, {}, {}};
    for (const auto& input : node->input_values()) step.inputs.push_back(slot_of.at({input.get_node(), input.get_index()}));
    for (size_t j = 0; j < node->get_output_size(); ++j) {
      size_t slot = fixed_.size();
      if (node->output(j) == logits) {
        logits_ = slot;
        fixed_.emplace_back();
      } else {
        OPENVINO_ASSERT(node->get_output_element_type(j) == ov::element::f32, "Sequences: the body has a node ", node->get_type_name(),
                        " of ", node->get_output_element_type(j), kRemedy);
        if (free.empty()) {
          fixed_.emplace_back();
        } else {
          slot = free.back();
          free.pop_back();
        }
        freed_at[std::max(last_use[node.get()], i)].push_back(slot);
      }
      slot_of[{node.get(), j}] = slot;
      step.outputs.push_back(slot);
    }
    steps_.push_back(std::move(step));
    free.insert(free.end(), freed_at[i].begin(), freed_at[i].end());
  }
  OPENVINO_ASSERT(logits_ != 0, "Sequences: the body computes no logits", kRemedy);
}

std::unique_ptr<Body::Workspace> Body::make_workspace() const {
  auto workspace = std::make_unique<Workspace>();
  workspace->slots = fixed_;
  for (ov::Tensor& slot : workspace->slots) {
    if (!slot) slot = ov::Tensor(ov::element::f32, ov::Shape{0});
  }
  for (const size_t input : {ids_, runs_, rows_}) workspace->slots[input] = ov::Tensor(ov::element::i32, ov::Shape{1});
  for (const Step& step : steps_) {
    ov::TensorVector& inputs = workspace->inputs.emplace_back();
    ov::TensorVector& outputs = workspace->outputs.emplace_back();
    for (const size_t slot : step.inputs) inputs.push_back(workspace->slots[slot]);
    for (const size_t slot : step.outputs) outputs.push_back(workspace->slots[slot]);
  }
  return workspace;
}

void Body::put(Workspace& workspace, size_t slot, const ov::Tensor& tensor) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    for (size_t j = 0; j < steps_[i].inputs.size(); ++j) {
      if (steps_[i].inputs[j] == slot) workspace.inputs[i][j] = tensor;
    }
    for (size_t j = 0; j < steps_[i].outputs.size(); ++j) {
      if (steps_[i].outputs[j] == slot) workspace.outputs[i][j] = tensor;
    }
  }
}

void Body::fill(Workspace& workspace, std::span<const Part> parts) const {
  size_t tokens = 0, rows = 0;
  for (const Part& part : parts) {
    tokens += part.ids.size();
    rows += static_cast<size_t>(part.rows);
  }
  std::vector<ov::Tensor>& slots = workspace.slots;
  slots[ids_].set_shape({tokens});
  slots[runs_].set_shape({parts.size(), static_cast<size_t>(kRunNumbers)});
  slots[rows_].set_shape({rows});
  auto *id = slots[ids_].data<int32_t>(), *run = slots[runs_].data<int32_t>(), *row = slots[rows_].data<int32_t>();
  int32_t first = 0;
  for (const Part& part : parts) {
    const auto count = static_cast<int32_t>(part.ids.size());
    id = std::copy(part.ids.begin(), part.ids.end(), id);
    for (const int32_t number : {first, count, static_cast<int32_t>(part.before), part.slot}) *run++ = number;
    first += count;
    for (int32_t last = first - static_cast<int32_t>(part.rows); last < first; ++last) *row++ = last;
  }
}

void Body::run(std::span<const Part> parts, float* logits) const {
  std::unique_ptr<Workspace> workspace;
  {
    const std::lock_guard lock(mutex_);
    if (!spare_.empty()) {
      workspace = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  if (!workspace) workspace = make_workspace();
  fill(*workspace, parts);
  const size_t rows = workspace->slots[rows_].get_size();
  float none = 0.0f;
  put(*workspace, logits_, ov::Tensor(ov::element::f32, {rows, static_cast<size_t>(vocabulary_)}, rows > 0 ? logits : &none));
  for (size_t i = 0; i < steps_.size(); ++i) {
    OPENVINO_ASSERT(steps_[i].op->evaluate(workspace->outputs[i], workspace->inputs[i]), "Sequences: ", steps_[i].op->get_type_name(),
                    " was not computed");
  }
  const std::lock_guard lock(mutex_);
  spare_.push_back(std::move(workspace));
}

}  // namespace dsv4::ops
