// An operation that hands its input on until it is told to fail, put into the graphs of an open engine.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "graph/cpu/cpu.h"
#include "openvino/core/model.hpp"
#include "openvino/op/op.hpp"
#include "openvino/runtime/core.hpp"
#include "runtime/engine_model.h"
#include "runtime/engine_options.h"
#include "runtime/inner.h"
#include "runtime/read_ir.h"
#include "runtime/weight_memory.h"

namespace dsv4::testing_support {

/// Of the operation: what its next call does.
enum class Fault {
  kNone,
  kError,     ///< throws what an operation's check throws
  kNoMemory,  ///< throws std::bad_alloc
};

class FailingOp final : public ov::op::Op {
 public:
  OPENVINO_OP("FailingOp", "dsv4_tests")

  FailingOp() = default;
  FailingOp(const ov::Output<ov::Node>& input, std::shared_ptr<std::atomic<Fault>> fault) : Op({input}), fault_(std::move(fault)) {
    constructor_validate_and_infer_types();
  }
  void validate_and_infer_types() override { set_output_type(0, get_input_element_type(0), get_input_partial_shape(0)); }
  std::shared_ptr<ov::Node> clone_with_new_inputs(const ov::OutputVector& inputs) const override {
    return std::make_shared<FailingOp>(inputs[0], fault_);
  }
  bool visit_attributes(ov::AttributeVisitor&) override { return true; }
  bool has_evaluate() const override { return true; }
  bool evaluate(ov::TensorVector& outputs, const ov::TensorVector& inputs) const override {
    if (*fault_ == Fault::kNoMemory) throw std::bad_alloc();
    OPENVINO_ASSERT(*fault_ == Fault::kNone, "FailingOp: told to");
    outputs[0].set_shape(inputs[0].get_shape());
    if (inputs[0].get_byte_size() > 0) std::memcpy(outputs[0].data(), inputs[0].data(), inputs[0].get_byte_size());
    return true;
  }

 private:
  std::shared_ptr<std::atomic<Fault>> fault_;
};

/// The operations of a model that are ours, or all of its products, in the order in which they run.
inline std::vector<std::shared_ptr<ov::Node>> places(const ov::Model& model) {
  std::vector<std::shared_ptr<ov::Node>> nodes;
  for (const auto& node : model.get_ordered_ops()) {
    const std::string set = node->get_type_info().version_id, type = node->get_type_name();
    if (set == "dsv4" || type == "MatMul") nodes.push_back(node);
  }
  return nodes;
}

inline void insert_after(const std::shared_ptr<ov::Node>& node, const std::shared_ptr<std::atomic<Fault>>& fault) {
  const auto readers = node->output(0).get_target_inputs();
  const auto op = std::make_shared<FailingOp>(node->output(0), fault);
  op->set_friendly_name("failing");
  for (ov::Input<ov::Node> reader : readers) reader.replace_source_output(op->output(0));
}

/// The graph that an engine runs, built once more from its folder.
inline std::shared_ptr<ov::Model> graph_of(const Engine& engine, const std::filesystem::path& folder) {
  const std::shared_ptr<ov::Model> ir = read_ir(folder);
  if (engine.program() == Program::kPortable) return ir;
  ModelWeights weights(*ir, WeightMemory::kMap);
  CpuOptions options;
  options.activations = ActivationRounding::kF32;
  return build_cpu_model(Inner::config(engine), weights, options).model;
}

/// Compiles a graph in the place of the engine's own.
inline void replace_graph(const Engine& engine, const std::shared_ptr<ov::Model>& graph) {
  auto& model = const_cast<Engine::Model&>(Inner::model(engine));  // (no constant object)
  const ov::AnyMap properties = compile_properties(engine.options());
  if (engine.program() == Program::kPortable) {
    model.compiled = ov::Core().compile_model(graph, "CPU", properties);
  } else {
    model.steps = std::make_unique<CpuSteps>(graph, properties, false);
  }
}

}  // namespace dsv4::testing_support
