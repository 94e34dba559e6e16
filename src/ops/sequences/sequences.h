// Op Sequences: the whole CPU program as one node with the inputs that clients of OpenVINO give a language model; and the two small ops that stand before it.
#pragma once

#include <memory>
#include <vector>

#include "dsv4/precision.h"
#include "openvino/core/model.hpp"
#include "openvino/op/op.hpp"
#include "ops/attention/cache.h"

namespace dsv4::ops {

/// Inputs: ids i32 [B,S]; attention mask i32 [B,P+S]; positions i32 [B,S]; beam_idx i32 [B], the row of the state that each row goes on from; state i32 [R,1,2], a
/// SequenceHandle a row; wanted f32 [B,n,1], of which only n counts: the logits of all columns (n = S) or of the last one (n = 1).
/// Outputs: logits f32 [B,n,V], zeros for columns of padding; the rows' state i32 [B,1,2].
/// The caches of the sequences belong to the op and its clones, and go with the last of them (sequence_table.h). What it cannot do is an ov::Exception of one line;
/// what was wrong before anything was computed leaves the state as it is, an inference that failed loses the sequences of its rows.
/// On one thread, where OpenVINO loses exceptions, it is a line on stderr and logits that are no numbers.
class Sequences final : public ov::op::Op {
 public:
  OPENVINO_OP("Sequences", "dsv4")

  Sequences() = default;
  /// `body`: the program of graph/cpu/cpu.h, for a file; `cache`: the shape of its caches.
  Sequences(const ov::OutputVector& inputs, std::shared_ptr<ov::Model> body, const CacheShape& cache);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;

  /// For whoever looks for the weights of a folder.
  const std::shared_ptr<ov::Model>& body() const { return body_; }

 private:
  struct Engine;  // body and table, which clones share

  CacheShape cache_shape() const;
  int64_t vocabulary() const;

  std::shared_ptr<ov::Model> body_;
  std::vector<int64_t> ratios_;    // of the layers
  std::vector<int64_t> overlaps_;  // 0, 1
  int64_t window_ = 0, head_dim_ = 0, index_head_dim_ = 0, capacity_ = 0;
  bool f32_cache_ = false;
  bool to_be_written_ = false;  // the body's weights are placeholders
  std::shared_ptr<Engine> engine_;
};

/// Input: ids i32 [B,S]. Output: the state of B sequences without tokens, zeros i32 [B,1,2]. An op of its own, because OpenVINO's CPU plugin moves what a state
/// begins with into a subgraph.
class SequenceStart final : public ov::op::Op {
 public:
  OPENVINO_OP("SequenceStart", "dsv4")

  SequenceStart() = default;
  explicit SequenceStart(const ov::Output<ov::Node>& ids) : Op({ids}) { constructor_validate_and_infer_types(); }

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
};

/// Input: ids i32 [B,S]. Outputs, zeros: f32 [B,S,1] and f32 [1,1], whose product is `wanted` of all columns. Clients that want the last column's logits only look for
/// a last MatMul and cut its input: they find this product.
class WantedColumns final : public ov::op::Op {
 public:
  OPENVINO_OP("WantedColumns", "dsv4")

  WantedColumns() = default;
  explicit WantedColumns(const ov::Output<ov::Node>& ids) : Op({ids}) { constructor_validate_and_infer_types(); }

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override;
};

}  // namespace dsv4::ops
