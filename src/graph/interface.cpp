// Names of inputs and outputs.
#include "graph/interface.h"

namespace dsv4 {

std::shared_ptr<ov::op::v0::Parameter> named_input(const std::string& name, ov::element::Type type, const ov::PartialShape& shape) {
  const auto parameter = std::make_shared<ov::op::v0::Parameter>(type, shape);
  parameter->set_friendly_name(name);
  parameter->output(0).set_names({name});
  return parameter;
}

std::shared_ptr<ov::op::v0::Result> logits_result(const Value& logits) {
  logits.get_node()->set_friendly_name("logits");
  const auto result = std::make_shared<ov::op::v0::Result>(logits);
  result->output(0).set_names({"logits"});
  return result;
}

}  // namespace dsv4
