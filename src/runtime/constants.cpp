// Walking over a model and its bodies.
#include "runtime/constants.h"

#include "openvino/op/util/multi_subgraph_base.hpp"
#include "ops/sequences/sequences.h"

namespace dsv4 {

std::shared_ptr<ov::op::v0::Constant> Constants::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

void Constants::add(const ov::Model& model) {
  for (const std::shared_ptr<ov::Node>& node : model.get_ops()) {
    if (const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node)) by_name_.emplace(constant->get_friendly_name(), constant);
    if (const auto bodies = ov::as_type_ptr<ov::op::util::MultiSubGraphOp>(node)) {
      for (const std::shared_ptr<ov::Model>& body : bodies->get_functions()) add(*body);
    }
    if (const auto sequences = ov::as_type_ptr<ops::Sequences>(node)) add(*sequences->body());
  }
}

}  // namespace dsv4
