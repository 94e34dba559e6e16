// Running an inference, and marks in its output that it has to overwrite.
#include "runtime/checked_inference.h"

#include <bit>
#include <cstdint>

#include "runtime/errors.h"

namespace dsv4 {

namespace {

// A NaN that no arithmetic makes: it stands where a row begins until the row is written.
constexpr uint32_t kUnwritten = 0x7FD5A4E1;

/// One thread for one inference, as OpenVINO sees it. Not every device has the property.
bool runs_on_one_thread(const ov::CompiledModel& model) {
  try {
    return model.get_property(ov::inference_num_threads) == 1;
  } catch (const ov::Exception&) {
    return false;
  }
}

void mark_rows(float* values, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; ++row) values[row * width] = std::bit_cast<float>(kUnwritten);
}

bool every_row_is_written(const float* values, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; ++row) {
    if (std::bit_cast<uint32_t>(values[row * width]) == kUnwritten) return false;
  }
  return true;
}

}  // namespace

CheckedInference::CheckedInference(const ov::CompiledModel& model)
    : request_(with_errors("no sequence can be begun", [&] { return ov::CompiledModel(model).create_infer_request(); })),
      one_thread_(runs_on_one_thread(model)) {}

void CheckedInference::run() {
  // Where the CPU plugin has one thread, infer() runs the graph in a queue of the calling thread that swallows exceptions, and that keeps what has thrown: the
  // next inference of that thread, of whatever session, would begin by running it again. start_async() does neither.
  with_errors("inference failed", [&] {
    if (!one_thread_) return request_.infer();
    request_.start_async();
    request_.wait();
  });
}

std::span<const float> CheckedInference::infer(const ov::Shape& shape) {
  const size_t width = shape.back(), rows = ov::shape_size(shape) / width;
  with_errors("no memory for logits", [&] {
    // Where no row is asked for, one is there to be taken away.
    const ov::Shape before = rows > 0 ? shape : ov::Shape{1, width};
    if (!logits_ || logits_.get_shape() != before) {
      logits_ = ov::Tensor(ov::element::f32, before);
      request_.set_tensor("logits", logits_);
    }
  });
  mark_rows(logits_.data<float>(), rows, width);
  run();
  const ov::Tensor out = request_.get_tensor("logits");
  if (out.get_shape() != shape || out.get_element_type() != ov::element::f32) {
    fail("inference failed: its logits are ", out.get_element_type(), " ", out.get_shape(), "; expected f32 ", shape);
  }
  const auto* values = out.data<const float>();
  if (!every_row_is_written(values, rows, width)) fail("inference failed: it left logits unwritten");
  return {values, rows * width};
}

}  // namespace dsv4
