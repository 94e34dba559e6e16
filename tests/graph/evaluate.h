// Running a few nodes of the portable program on the CPU.
#pragma once

#include <string>
#include <vector>

#include "graph/vocabulary.h"
#include "openvino/core/model.hpp"
#include "openvino/op/parameter.hpp"
#include "openvino/runtime/core.hpp"

namespace dsv4::testing_support {

using Parameter = std::shared_ptr<ov::op::v0::Parameter>;

inline Parameter parameter(ov::element::Type type, const ov::PartialShape& shape) {
  return std::make_shared<ov::op::v0::Parameter>(type, shape);
}

/// A sub-graph with its inputs in order, compiled once.
class Program {
 public:
  /// `precision` dynamic: what OpenVINO takes of itself, bfloat16 where the CPU has it.
  Program(const std::vector<Value>& outputs, const ov::ParameterVector& inputs, ov::element::Type precision = ov::element::f32) {
    const auto model = std::make_shared<ov::Model>(ov::OutputVector(outputs.begin(), outputs.end()), inputs);
    ov::AnyMap properties = {ov::inference_num_threads(1)};
    if (precision != ov::element::dynamic) properties.insert(ov::hint::inference_precision(precision));
    compiled_ = ov::Core().compile_model(model, "CPU", properties);
  }

  std::vector<ov::Tensor> operator()(const std::vector<ov::Tensor>& inputs) {
    ov::InferRequest request = compiled_.create_infer_request();
    for (size_t i = 0; i < inputs.size(); ++i) request.set_input_tensor(i, inputs[i]);
    request.infer();
    std::vector<ov::Tensor> outputs;
    for (size_t i = 0; i < compiled_.outputs().size(); ++i) outputs.push_back(request.get_output_tensor(i));
    return outputs;
  }

 private:
  ov::CompiledModel compiled_;
};

template <class T>
ov::Tensor tensor(const ov::Shape& shape, const std::vector<T>& values) {
  ov::Tensor t(ov::element::from<T>(), shape);
  if (t.get_size() != values.size()) throw std::runtime_error("a tensor and its values differ in size");
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

template <class T>
std::vector<T> values_of(const ov::Tensor& t) {
  const T* data = t.data<const T>();
  return {data, data + t.get_size()};
}

}  // namespace dsv4::testing_support
