// Weights of a graph that is only going to be written: nodes without data that stand for constants of a .bin.
#pragma once

#include <set>
#include <string>

#include "convert/plan.h"
#include "graph/weights.h"
#include "openvino/op/op.hpp"

namespace dsv4 {

/// A source node with the attributes of a constant in an IR: element type, shape, offset and size in the .bin. Serialised as
/// type="StoredConstant" version="dsv4"; ir.cpp makes it a Const. So that the graph of a 1.6 T parameter model takes no memory for weights.
class StoredConstant : public ov::op::Op {
 public:
  OPENVINO_OP("StoredConstant", "dsv4")

  StoredConstant() = default;
  StoredConstant(ov::element::Type type, const ov::Shape& shape, uint64_t offset, uint64_t size);

  void validate_and_infer_types() override;
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override;
  bool visit_attributes(ov::AttributeVisitor& visitor) override;

 private:
  ov::element::Type type_;
  ov::Shape shape_;
  int64_t offset_ = 0;
  int64_t size_ = 0;
};

class PlaceholderWeights final : public WeightSource {
 public:
  explicit PlaceholderWeights(const StoragePlan& plan) : plan_(plan) {}

  ov::Output<ov::Node> matrix(const std::string& name) override;
  ov::Output<ov::Node> matrix_rows(const std::string& name, int64_t index, int64_t count) override;
  ov::Output<ov::Node> gather_rows(const std::string& name, const ov::Output<ov::Node>& ids) override;
  ov::Output<ov::Node> gather_matrices(const std::string& name, const ov::Output<ov::Node>& ids) override;
  ov::Output<ov::Node> exact(const std::string& name) override;

  /// Planned weights that no block asked for; empty after a complete model was built.
  std::vector<std::string> unused() const;

 private:
  const PlannedWeight& use(const std::string& name);

  const StoragePlan& plan_;
  std::set<std::string> used_;
};

}  // namespace dsv4
