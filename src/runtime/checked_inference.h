// One inference whose outcome is checked: an error of the model is thrown on any number of threads, and what is returned was written by this call.
#pragma once

#include <span>
#include <string>

#include "openvino/runtime/compiled_model.hpp"
#include "openvino/runtime/infer_request.hpp"

namespace dsv4 {

class CheckedInference {
 public:
  /// Error when OpenVINO cannot make a request.
  explicit CheckedInference(const ov::CompiledModel& model);

  void set(const std::string& input, const ov::Tensor& tensor) { request_.set_tensor(input, tensor); }
  ov::InferRequest& request() { return request_; }

  /// Runs it. `shape` is that of its output `logits`: [..,V]. Returns the values of that, valid until the next call.
  /// Error when the inference failed, or left an output of another shape or with rows that it did not write.
  std::span<const float> infer(const ov::Shape& shape);

 private:
  void run();

  ov::InferRequest request_;
  bool one_thread_ = false;
  ov::Tensor logits_;
};

}  // namespace dsv4
