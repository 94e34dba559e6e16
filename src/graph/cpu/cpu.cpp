// The CPU program: inputs, and one op a block.
#include "graph/cpu/cpu.h"

#include <optional>
#include <utility>

#include "checkpoint/names.h"
#include "formats/stored_format.h"
#include "graph/frequencies.h"
#include "graph/interface.h"
#include "graph/model.h"
#include "openvino/op/constant.hpp"
#include "ops/attention/attention.h"
#include "ops/attention/attention_weights.h"
#include "ops/attention/runs.h"
#include "ops/embed/embed.h"
#include "ops/experts/experts.h"
#include "ops/hyper_connect/hyper_connect.h"
#include "ops/linear/linear.h"
#include "ops/support/op_times.h"
#include "ops/values/values.h"

namespace dsv4 {

using ops::OpPart;

namespace {

int64_t bytes_of(const ov::OutputVector& constants) {
  int64_t bytes = 0;
  for (const Value& constant : constants)
    bytes += static_cast<int64_t>((ov::shape_size(constant.get_shape()) * constant.get_element_type().bitwidth() + 7) / 8);
  return bytes;
}

std::optional<ops::PendingPost> pending_post(const Streams& streams) {
  if (!streams.pending) return std::nullopt;
  return ops::PendingPost{streams.pending->output, streams.pending->post, streams.pending->comb};
}

}  // namespace

CpuVocabulary::CpuVocabulary(const Config& config, PackedWeights& weights, const CpuOptions& options)
    : config_(config),
      weights_(weights),
      options_(options),
      input_ids_(named_input("input_ids", ov::element::i32, {-1})),
      runs_(named_input("runs", ov::element::i32, {-1, ops::kRunNumbers})),
      logit_rows_(named_input("logit_rows", ov::element::i32, {-1})) {}

ops::WeightInputs CpuVocabulary::inputs(OpPart part, const std::vector<std::string>& names) {
  ops::WeightInputs weights;
  for (const std::string& name : names) weights.add(weights_.stored(name));
  token_bytes_.add(part, &ActiveBytes::dense, bytes_of(weights.nodes));
  return weights;
}

ops::WeightInputs CpuVocabulary::given(ops::WeightInputs weights) const {
  if (!options_.for_file) weights.bind();
  return weights;
}

Streams CpuVocabulary::embed() {
  ops::WeightInputs table;
  table.add(weights_.stored("embed.weight"));
  token_bytes_.add(OpPart::kEmbed, &ActiveBytes::dense, bytes_of(table.nodes) / config_.vocab_size);  // a row a token
  return {std::make_shared<ops::Embed>(input_ids_, given(table), config_.hc_mult), {}};               // [T] -> [T,hc,D]
}

ops::WeightInputs CpuVocabulary::mixing_weights(const std::string& site, const std::string& norm) {
  return given(inputs(OpPart::kHyperConnect, {site + "_fn", site + "_base", site + "_scale", norm}));
}

ops::HyperConnectAttributes CpuVocabulary::mixing_attributes() const {
  return {config_.hc_sinkhorn_iters, config_.hc_eps, config_.rms_norm_eps};
}

HyperConnection CpuVocabulary::hyper_connect_pre(const Streams& streams, const std::string& site, const std::string& norm) {
  const std::optional<ops::PendingPost> pending = pending_post(streams);
  const auto node =
      std::make_shared<ops::HyperConnect>(streams.value, pending ? &*pending : nullptr, mixing_weights(site, norm), mixing_attributes());
  node->set_friendly_name(site);
  return {node->output(0), node->output(3), node->output(1), node->output(2)};  // [T,D], [T,hc,D], [T,hc], [T,hc,hc]
}

Streams CpuVocabulary::hyper_connect_post(const HyperConnection& connection, const Value& output) {
  return {connection.residual, Streams::Post{output, connection.post, connection.comb}};
}

Value CpuVocabulary::hyper_connect_head(const Streams& streams, const std::string& site, const std::string& norm) {
  const auto node = std::make_shared<ops::HyperConnectHead>(streams.value, pending_post(streams).value(), logit_rows_,
                                                            mixing_weights(site, norm), mixing_attributes());  // [T,hc,D] -> [n,D]
  node->set_friendly_name(site);
  return node;
}

Value CpuVocabulary::frequencies(bool compressed) const {
  const std::vector<double> exact = rope_frequencies(config_, compressed);
  const std::vector<float> rounded(exact.begin(), exact.end());
  if (options_.for_file) return std::make_shared<ops::Values>(rounded);
  return std::make_shared<ov::op::v0::Constant>(ov::element::f32, ov::Shape{rounded.size()}, rounded);
}

Value CpuVocabulary::attention(const Value& x, const Block& block) {
  const LayerConfig& layer = block.kind;
  const std::string prefix = block.prefix + ".attn";
  const bool compressed = layer.kind != LayerKind::kSliding, overlap = layer.kind == LayerKind::kCsa;

  ops::AttentionAttributes attributes;
  attributes.layer = block.cache;
  attributes.heads = config_.num_attention_heads;
  attributes.head_dim = config_.head_dim;
  attributes.rope_dim = config_.qk_rope_head_dim;
  attributes.groups = config_.o_groups;
  attributes.window = config_.sliding_window;
  attributes.ratio = compressed ? layer.compress_ratio : 0;
  attributes.overlap = overlap;
  attributes.index_heads = overlap ? config_.index_n_heads : 0;
  attributes.index_head_dim = overlap ? config_.index_head_dim : 0;
  attributes.index_topk = overlap ? config_.index_topk : 0;
  attributes.norm_eps = config_.rms_norm_eps;
  attributes.mode = options_.activations;
  attributes.quantize_cache = options_.quantize_cache;

  ops::WeightInputs weights;
  ops::AttentionWeights members;
  ops::for_each_weight(members, attributes, {}, [&]<class T>(T&, const ops::WeightPlace& place) {
    const std::string name = prefix + '.' + place.name;
    std::vector<std::string> names = {name};
    if (std::is_same_v<T, std::span<const ops::PackedMatrix>> &&
        config_.o_groups > 1) {  // a matrix a group, as the portable program stores them
      names.clear();
      for (int64_t g = 0; g < config_.o_groups; ++g) names.push_back(row_group_name(name, g));
    }
    const ops::WeightInputs constants = inputs(place.part, names);
    if (place.selecting)
      token_bytes_.index_queries.push_back({(config_.index_topk + 1) * layer.compress_ratio - 1, bytes_of(constants.nodes)});
    weights.append(constants);
  });
  const auto node = std::make_shared<ops::Attention>(x, runs_, frequencies(compressed), given(std::move(weights)), attributes);
  node->set_friendly_name(prefix);
  return node;  // [T,D] -> [T,D]
}

Value CpuVocabulary::experts(const Value& x, const Block& block) {
  const LayerConfig& layer = block.kind;
  const std::string prefix = block.prefix + ".ffn";
  const int64_t experts = config_.n_routed_experts, width = config_.moe_intermediate_size, hidden = config_.hidden_size;

  const ov::OutputVector gate_up = weights_.stored_stack(gate_up_stack_name(block.prefix), experts, 2 * width, hidden);  // [E,2I,D]
  const ov::OutputVector down = weights_.stored_stack(down_stack_name(block.prefix), experts, hidden, width);            // [E,D,I]
  token_bytes_.add(OpPart::kExpertsProducts, &ActiveBytes::experts,
                   (bytes_of(gate_up) + bytes_of(down)) / experts * config_.num_experts_per_tok);

  ops::WeightInputs weights = inputs(OpPart::kExpertsRouter, {prefix + ".gate.weight"});
  weights.add(gate_up, ops::MatrixForm::kStack);
  weights.add(down, ops::MatrixForm::kStack);
  const std::string shared = prefix + ".shared_experts";
  weights.append(inputs(OpPart::kExpertsProducts, {shared + ".w1.weight", shared + ".w3.weight", shared + ".w2.weight"}));

  ops::ExpertsAttributes attributes;
  attributes.hash_routed = layer.hash_routed;
  attributes.experts_per_token = config_.num_experts_per_tok;
  attributes.scaling_factor = config_.routed_scaling_factor;
  attributes.swiglu_limit = config_.swiglu_limit;
  attributes.mode = options_.activations;
  attributes.prefetch = options_.prefetch_experts;
  const Value selection = weights_.stored(prefix + (layer.hash_routed ? ".gate.tid2eid" : ".gate.bias")).at(0);
  token_bytes_.add(OpPart::kExpertsRouter, &ActiveBytes::dense, bytes_of({selection}) / (layer.hash_routed ? config_.vocab_size : 1));
  const auto node = std::make_shared<ops::Experts>(x, input_ids_, selection, given(std::move(weights)), attributes);
  node->set_friendly_name(prefix);
  return node;  // [T,D] -> [T,D]
}

Value CpuVocabulary::logits(const Value& x, const std::string& weight) {
  ops::WeightInputs head;
  head.add(weights_.stored(weight));
  token_bytes_.add(OpPart::kHead, &ActiveBytes::head, bytes_of(head.nodes));
  return std::make_shared<ops::Linear>(x, given(head), options_.activations);  // [n,D] -> [n,V]
}

std::shared_ptr<ov::Model> CpuVocabulary::finish(const ModelOutputs& outputs) {
  return std::make_shared<ov::Model>(ov::ResultVector{logits_result(outputs.logits)}, ov::ParameterVector{input_ids_, runs_, logit_rows_},
                                     "dsv4-cpu");
}

CpuModel build_cpu_model(const Config& config, PackedWeights& weights, const CpuOptions& options) {
  CpuVocabulary vocabulary(config, weights, options);
  const std::shared_ptr<ov::Model> model = vocabulary.finish(build_model(config, vocabulary));
  return {model, vocabulary.token_bytes()};
}

ops::CacheShape cpu_cache_shape(const Config& config, int64_t capacity, CachePrecision type) {
  ops::CacheShape shape;
  for (const LayerConfig& layer : config.layers) {
    shape.layers.push_back({layer.kind == LayerKind::kSliding ? 0 : layer.compress_ratio, layer.kind == LayerKind::kCsa});
  }
  shape.window = config.sliding_window;
  shape.head_dim = config.head_dim;
  shape.index_head_dim = config.index_head_dim;
  shape.capacity = capacity;
  shape.type = type;
  return shape;
}

}  // namespace dsv4
