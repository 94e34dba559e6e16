// The portable program: the op vocabulary expanded into standard OpenVINO ops (opset 15, and unless told otherwise GroupedMatMul of opset 17 for the experts).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "checkpoint/config.h"
#include "graph/portable/call_positions.h"
#include "graph/portable/state.h"
#include "graph/vocabulary.h"
#include "graph/weights.h"

namespace dsv4 {

/// How the routed experts are multiplied.
enum class ExpertForm {
  kGrouped,  ///< GroupedMatMul-17: OpenVINO 2026.3 or later
  kGather,   ///< the routed experts' weights by Gather, as they are stored, and operations up to opset 15
};

/// Rows and tokens a row of a program that takes nothing else.
struct StaticShape {
  int64_t batch = 1;
  int64_t length = 1;
};

struct PortableOptions {
  bool stateful = true;  ///< false: the prefill-only form, input_ids alone
  ExpertForm experts = ExpertForm::kGrouped;
  std::optional<StaticShape> static_shape;  ///< of the prefill-only form: no dynamic dimension in the whole program; Error with `stateful`
};

/// The portable program: standard ops only; its inputs and state are those of docs/graph.md.
std::shared_ptr<ov::Model> build_portable_model(const Config& config, WeightSource& weights, const PortableOptions& options = {});

class PortableVocabulary final : public Vocabulary {
 public:
  PortableVocabulary(const Config& config, WeightSource& weights, const PortableOptions& options);

  Streams embed() override;
  HyperConnection hyper_connect_pre(const Streams& streams, const std::string& site, const std::string& norm) override;
  Streams hyper_connect_post(const HyperConnection& connection, const Value& output) override;
  Value hyper_connect_head(const Streams& streams, const std::string& site, const std::string& norm) override;
  Value attention(const Value& x, const Block& block) override;
  Value experts(const Value& x, const Block& block) override;
  Value logits(const Value& x, const std::string& weight) override;
  std::shared_ptr<ov::Model> finish(const ModelOutputs& outputs) override;

 private:
  // basic (portable.cpp)
  Value rms_norm(const Value& x, const std::string& weight);
  Value linear(const Value& x, const std::string& weight);
  // hyper_connections.cpp
  Value hyper_connect_mix(const Value& streams, const std::string& site, const std::vector<int32_t>& scale_index);
  // attention.cpp
  Value grouped_output(const Value& heads, const std::string& prefix);
  // compressor.cpp: the layer's entry list after this call, [B,1,capacity,width]; width hd, or hd + index_head_dim with an indexer
  Value compressed_entries(const Value& x, const LayerConfig& layer, const std::string& prefix);
  Value pooled_blocks(const Value& buffer, const std::string& prefix, const BlockPositions& blocks);
  Value pooled_overlapping_blocks(const Value& buffer, const LayerConfig& layer, const std::string& prefix, const BlockPositions& blocks);
  // indexer.cpp: additive mask over the key columns
  Value indexed_mask(const Value& x, const Value& q_latent, const Value& index_keys, const LayerConfig& layer, const std::string& prefix);
  // experts.cpp
  std::pair<Value, Value> route(const Value& x, const LayerConfig& layer, const std::string& prefix);
  Value swiglu(const Value& gate, const Value& up);
  // ids i32 and weights [T,1,K] of the routed experts -> their weighted sum on top of `shared`: x, shared [T,1,D] -> [T,1,D]
  Value grouped_experts(const Value& x, const Value& shared, const Value& ids, const Value& weights, const Block& block);
  // gathered_experts.cpp: the same with the weights of one expert at a time
  Value gathered_experts(const Value& x, const Value& shared, const Value& ids, const Value& weights, const Block& block);

  const Config& config_;
  WeightSource& weights_;
  ExpertForm expert_form_;
  ov::ParameterVector inputs_;
  std::optional<CallPositions> call_;
  std::optional<State> state_;
};

}  // namespace dsv4
