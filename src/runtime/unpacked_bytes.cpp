// FP4 and FP8 constants against the memory of the machine.
#include "runtime/unpacked_bytes.h"

#include "checkpoint/amounts.h"
#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"

namespace dsv4 {

namespace {

constexpr uint64_t kPeakBytesPerValue = 8;  // one float32 copy made while another is there

}  // namespace

uint64_t unpacked_bytes(const ov::Model& model) {
  uint64_t values = 0;
  for (const auto& node : model.get_ops()) {
    const ov::element::Type type = node->get_output_size() == 1 ? node->get_output_element_type(0) : ov::element::dynamic;
    if (ov::is_type<ov::op::v0::Constant>(node) && (type == ov::element::f4e2m1 || type == ov::element::f8e4m3))
      values += ov::shape_size(node->get_shape());
  }
  return values * kPeakBytesPerValue;
}

void check_unpacked_bytes(const ov::Model& model, uint64_t available, const std::string& what) {
  const uint64_t needed = unpacked_bytes(model);
  if (needed <= available) return;
  fail(what, ": OpenVINO's CPU plugin expands FP4 and FP8 weights to float32, which takes ", byte_text(needed), " here; ",
       byte_text(available), " are free. Convert with --experts gather, which keeps experts packed, or to int4");
}

}  // namespace dsv4
