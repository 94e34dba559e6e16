// Running one sequence.
#include "runtime/session.h"

#include <algorithm>
#include <numeric>

#include "dsv4/error.h"

namespace dsv4 {

void check_tokens(std::span<const int64_t> tokens, int64_t vocab_size, const std::string& what) {
  if (tokens.empty()) fail(what, ": no tokens; expected at least one");
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab_size) {
      fail(what, ": token ", i, " is ", tokens[i], "; expected an id from 0 to ", vocab_size - 1);
    }
  }
}

Session::Session(const Engine& engine) : engine_(engine), request_(ov::CompiledModel(engine.compiled()).create_infer_request()) {}

std::vector<float> Session::feed(std::span<const int64_t> tokens, int64_t chunk) {
  // Everything is checked here: OpenVINO does not check ids, and on one thread it swallows exceptions.
  check_tokens(tokens, engine_.config().vocab_size, "input");
  if (chunk < 1) fail("chunk size ", chunk, ": expected at least 1");
  const int64_t length = position_ + static_cast<int64_t>(tokens.size());
  const int64_t limit = engine_.config().max_position_embeddings, fixed = engine_.static_length();
  if (limit > 0 && length > limit) fail("the sequence would have ", length, " tokens; the model was made for ", limit);
  if (fixed > 0 && length != fixed) {
    fail("the sequence would have ", length, " tokens; the model was made for exactly ", fixed, " (--static-shape)");
  }
  std::vector<float> logits;
  if (!engine_.stateful()) {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    infer(tokens_, logits);
    const size_t rows = engine_.options().all_logits ? tokens.size() : 1;
    logits.erase(logits.begin(), logits.end() - static_cast<std::ptrdiff_t>(rows * static_cast<size_t>(engine_.config().vocab_size)));
    position_ += static_cast<int64_t>(tokens.size());
    return logits;
  }
  for (size_t begin = 0; begin < tokens.size(); begin += static_cast<size_t>(chunk)) {
    const std::span<const int64_t> part = tokens.subspan(begin, std::min(static_cast<size_t>(chunk), tokens.size() - begin));
    if (!engine_.options().all_logits) logits.clear();
    infer(part, logits);
    position_ += static_cast<int64_t>(part.size());
  }
  return logits;
}

void Session::infer(std::span<const int64_t> tokens, std::vector<float>& logits) {
  const size_t length = tokens.size();
  ov::Tensor ids(ov::element::i64, {1, length});
  std::copy(tokens.begin(), tokens.end(), ids.data<int64_t>());
  request_.set_tensor("input_ids", ids);
  if (engine_.stateful()) {
    ov::Tensor mask(ov::element::i64, {1, static_cast<size_t>(position_) + length});
    std::fill_n(mask.data<int64_t>(), mask.get_size(), 1);
    ov::Tensor positions(ov::element::i64, {1, length});
    std::iota(positions.data<int64_t>(), positions.data<int64_t>() + length, position_);
    ov::Tensor beams(ov::element::i32, {1});
    beams.data<int32_t>()[0] = 0;
    request_.set_tensor("attention_mask", mask);
    request_.set_tensor("position_ids", positions);
    request_.set_tensor("beam_idx", beams);
  }
  try {
    request_.infer();
  } catch (const ov::Exception& e) {
    fail("inference failed at position ", position_, ": ", first_line(e.what()));
  }
  const ov::Tensor out = request_.get_tensor("logits");
  const float* data = out.data<const float>();
  logits.insert(logits.end(), data, data + out.get_size());
}

void Session::reset() {
  position_ = 0;
  tokens_.clear();
  if (engine_.stateful()) request_.reset_state();
}

Session::Snapshot Session::save() {
  Snapshot snapshot{position_, tokens_, {}};
  if (!engine_.stateful() || position_ == 0) return snapshot;  // before the first inference OpenVINO's states have no memory
  for (ov::VariableState& state : request_.query_state()) {
    const ov::Tensor live = state.get_state();
    ov::Tensor copy(live.get_element_type(), live.get_shape());
    live.copy_to(copy);
    snapshot.states.emplace(state.get_name(), copy);
  }
  return snapshot;
}

void Session::restore(const Snapshot& snapshot) {
  if (snapshot.position == 0) return reset();
  std::vector<ov::VariableState> states;
  if (engine_.stateful()) states = request_.query_state();
  // Before anything changes: a session is left as it was by a snapshot that does not fit.
  if (states.size() != snapshot.states.size()) {
    fail("the snapshot has ", snapshot.states.size(), " states and the model ", states.size(), "; it belongs to another model");
  }
  for (const ov::VariableState& state : states) {
    if (!snapshot.states.contains(state.get_name())) fail("the snapshot has no state ", state.get_name(), "; it belongs to another model");
  }
  position_ = snapshot.position;
  tokens_ = snapshot.tokens;
  for (ov::VariableState& state : states) state.set_state(snapshot.states.at(state.get_name()));
}

}  // namespace dsv4
