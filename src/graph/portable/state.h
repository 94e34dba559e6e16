// The state of the portable program: ReadValue/Assign variables that follow beam_idx, or zeros in the prefill-only form.
#pragma once

#include <string>

#include "graph/vocabulary.h"
#include "openvino/op/sink.hpp"

namespace dsv4 {

class State {
 public:
  /// beam_idx i32 [B], or empty for the prefill-only form. `batch`: scalar i32.
  State(const Value& beam_idx, const Value& batch);

  /// Rows of constant number, zero at the start of a sequence: a state of shape [B,rows,width].
  Value read_fixed(const std::string& name, int64_t rows, int64_t width);
  /// The same as [B,1,rows,width]. `rank3`: the state itself is [B,rows,width], which OpenVINO GenAI needs of at least one.
  Value read_fixed_keys(const std::string& name, int64_t rows, int64_t width, bool rank3);
  /// A list of rows that starts empty: [B,1,n,width]; no value in the prefill-only form, where it has no rows.
  Value read_growing(const std::string& name, int64_t width);
  /// What the next call reads, in the state's own shape.
  void write(const std::string& name, const Value& value);

  const ov::SinkVector& sinks() const { return sinks_; }

 private:
  Value read(const std::string& name, const ov::PartialShape& shape, const Value& initial, const Value& beam_idx);

  Value beam_idx_, beam_idx_as_keys_, batch_;
  ov::SinkVector sinks_;
  std::map<std::string, std::shared_ptr<ov::op::util::Variable>> variables_;
};

}  // namespace dsv4
