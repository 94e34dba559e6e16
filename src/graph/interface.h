// The inputs and the output of a program, by which whoever runs it finds them.
#pragma once

#include <memory>
#include <string>

#include "graph/vocabulary.h"
#include "openvino/op/parameter.hpp"
#include "openvino/op/result.hpp"

namespace dsv4 {

std::shared_ptr<ov::op::v0::Parameter> named_input(const std::string& name, ov::element::Type type, const ov::PartialShape& shape);

/// The result `logits`.
std::shared_ptr<ov::op::v0::Result> logits_result(const Value& logits);

}  // namespace dsv4
