// The graph around the CPU program.
#include "graph/cpu/client_model.h"

#include "graph/interface.h"
#include "openvino/op/add.hpp"
#include "openvino/op/assign.hpp"
#include "openvino/op/convert.hpp"
#include "openvino/op/matmul.hpp"
#include "openvino/op/read_value.hpp"
#include "openvino/op/util/variable.hpp"
#include "ops/sequences/sequences.h"

namespace dsv4 {

std::shared_ptr<ov::Model> build_client_model(const Config& config, PackedWeights& weights, CpuOptions options, CachePrecision cache) {
  options.for_file = true;
  options.prefetch_experts = true;  // clients map the weights
  const std::shared_ptr<ov::Model> body = build_cpu_model(config, weights, options).model;
  const auto ids = named_input("input_ids", ov::element::i64, {-1, -1});           // [B,S]
  const auto mask = named_input("attention_mask", ov::element::i64, {-1, -1});     // [B,P+S]
  const auto positions = named_input("position_ids", ov::element::i64, {-1, -1});  // [B,S]
  const auto beams = named_input("beam_idx", ov::element::i32, {-1});              // [B]
  const auto as_i32 = [](const Value& value) -> Value { return std::make_shared<ov::op::v0::Convert>(value, ov::element::i32); };

  const Value ids32 = as_i32(ids);
  const auto start = std::make_shared<ops::SequenceStart>(ids32);    // [B,1,2]
  const auto columns = std::make_shared<ops::WantedColumns>(ids32);  // [B,S,1], [1,1]
  const auto variable = std::make_shared<ov::op::util::Variable>(ov::op::util::VariableInfo{{-1, 1, 2}, ov::element::i32, "sequences"});
  const auto past = std::make_shared<ov::op::v6::ReadValue>(start, variable);
  const auto wanted = std::make_shared<ov::op::v0::MatMul>(columns->output(0), columns->output(1));  // [B,S,1], or of the last column
  const int64_t capacity = config.max_position_embeddings;
  const auto sequences = std::make_shared<ops::Sequences>(ov::OutputVector{ids32, as_i32(mask), as_i32(positions), beams, past, wanted},
                                                          body, cpu_cache_shape(config, capacity, cache));
  sequences->set_friendly_name("model");
  // Zeros, so that clients that look for MatMul, Add and Result find them (ops::WantedColumns).
  const auto logits = std::make_shared<ov::op::v1::Add>(wanted, sequences->output(0));  // [B,n,1] + [B,n,V]
  const auto now = std::make_shared<ov::op::v6::Assign>(sequences->output(1), variable);
  return std::make_shared<ov::Model>(ov::ResultVector{logits_result(logits)}, ov::SinkVector{now},
                                     ov::ParameterVector{ids, mask, positions, beams}, ov::op::util::VariableVector{variable},
                                     "dsv4-cpu-clients");
}

}  // namespace dsv4
