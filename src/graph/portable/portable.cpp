// The portable program: its inputs, embedding, norms, linear layers, head and assembly.
#include "graph/portable/portable.h"

#include "dsv4/error.h"
#include "graph/interface.h"
#include "graph/model.h"
#include "graph/portable/nodes.h"
#include "openvino/core/model.hpp"
#include "openvino/op/broadcast.hpp"

namespace dsv4 {

namespace op = ov::op;
using namespace nodes;

PortableVocabulary::PortableVocabulary(const Config& config, WeightSource& weights, const PortableOptions& options)
    : config_(config), weights_(weights), expert_form_(options.experts) {
  const std::optional<StaticShape>& fixed = options.static_shape;
  if (fixed && options.stateful) fail("static shapes are for the prefill-only form: the state of the other one grows");
  const auto input_ids = named_input("input_ids", ov::element::i64,
                                     fixed ? ov::PartialShape{fixed->batch, fixed->length} : ov::PartialShape{-1, -1});  // [B,S]
  inputs_ = {input_ids};
  if (!options.stateful) {
    call_.emplace(config_, input_ids, Value());
    state_.emplace(Value(), call_->batch());
    return;
  }
  // attention_mask is part of the interface (clients feed it) but carries nothing that position_ids does not: left padding shows there.
  const auto attention_mask = named_input("attention_mask", ov::element::i64, {-1, -1});  // [B,P+S]
  const auto position_ids = named_input("position_ids", ov::element::i64, {-1, -1});      // [B,S]
  const auto beam_idx = named_input("beam_idx", ov::element::i32, {-1});                  // [B]
  inputs_.insert(inputs_.end(), {attention_mask, position_ids, beam_idx});
  call_.emplace(config_, input_ids, position_ids);
  state_.emplace(beam_idx, call_->batch());
}

Streams PortableVocabulary::embed() {
  const int32_t d = static_cast<int32_t>(config_.hidden_size), hc = static_cast<int32_t>(config_.hc_mult);
  const Value e = weights_.gather_rows("embed.weight", call_->ids());                                                  // [T,1] -> [T,1,D]
  return {std::make_shared<op::v3::Broadcast>(e, shape_of({call_->tokens(), i32(std::vector<int32_t>{hc, d})})), {}};  // -> [T,hc,D]
}

Value PortableVocabulary::linear(const Value& x, const std::string& weight) { return matmul(x, weights_.matrix(weight), false, true); }

Value PortableVocabulary::rms_norm(const Value& x, const std::string& weight) {
  return nodes::rms_norm(x, weights_.exact(weight), config_.rms_norm_eps);
}

Value PortableVocabulary::logits(const Value& x, const std::string& weight) {
  const int32_t d = static_cast<int32_t>(config_.hidden_size);
  const Value hidden = reshape_to(x, shape_of({call_->batch(), call_->length(), i32(d)}));  // [T,1,D] -> [B,S,D]
  return linear(hidden, weight);                                                            // -> [B,S,V]
}

std::shared_ptr<ov::Model> PortableVocabulary::finish(const ModelOutputs& outputs) {
  return std::make_shared<ov::Model>(ov::ResultVector{logits_result(outputs.logits)}, state_->sinks(), inputs_, "dsv4");
}

std::shared_ptr<ov::Model> build_portable_model(const Config& config, WeightSource& weights, const PortableOptions& options) {
  PortableVocabulary vocabulary(config, weights, options);
  return vocabulary.finish(build_model(config, vocabulary));
}

}  // namespace dsv4
