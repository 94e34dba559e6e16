// A sequence of the portable program: OpenVINO's states, or the whole history in the prefill-only form.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "dsv4/error.h"
#include "runtime/sequence_state.h"

namespace dsv4 {

namespace {

ov::element::Type element_type(const std::string& name) {
  try {
    return ov::element::Type(name);
  } catch (const ov::Exception&) {
    fail("the snapshot has states of type \"", name, "\"; it is damaged");
  }
}

class PortableSequenceState final : public SequenceState {
 public:
  using SequenceState::SequenceState;

  int64_t rows_of(int64_t length, bool) const override { return model_.options.all_logits ? length : 1; }

  void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) override {
    if (!model_.stateful) {
      tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
      tokens = tokens_;
    }
    const size_t length = tokens.size();
    ov::Tensor ids(ov::element::i64, {1, length});
    std::copy(tokens.begin(), tokens.end(), ids.data<int64_t>());
    request_.set_tensor("input_ids", ids);
    if (model_.stateful) {
      ov::Tensor mask(ov::element::i64, {1, static_cast<size_t>(position) + length});
      std::fill_n(mask.data<int64_t>(), mask.get_size(), 1);
      ov::Tensor positions(ov::element::i64, {1, length});
      std::iota(positions.data<int64_t>(), positions.data<int64_t>() + length, position);
      ov::Tensor beams(ov::element::i32, {1});
      beams.data<int32_t>()[0] = 0;
      request_.set_tensor("attention_mask", mask);
      request_.set_tensor("position_ids", positions);
      request_.set_tensor("beam_idx", beams);
    }
    run(request_);
    const ov::Tensor out = request_.get_tensor("logits");
    const float* end = out.data<const float>() + out.get_size();
    logits.insert(logits.end(), end - rows * model_.config.vocab_size, end);
  }

  void reset() override {
    tokens_.clear();
    if (model_.stateful) request_.reset_state();
  }

  void save(Snapshot& snapshot) override {
    snapshot.tokens = tokens_;
    if (!model_.stateful) return;
    for (ov::VariableState& state : request_.query_state()) {
      const ov::Tensor live = state.get_state();
      const ov::Shape& shape = live.get_shape();
      Snapshot::State copy{
          live.get_element_type().get_type_name(), {shape.begin(), shape.end()}, std::vector<std::byte>(live.get_byte_size())};
      live.copy_to(ov::Tensor(live.get_element_type(), shape, copy.bytes.data()));
      snapshot.states.emplace(state.get_name(), std::move(copy));
    }
  }

  void restore(const Snapshot& snapshot) override {
    std::vector<ov::VariableState> states;
    if (model_.stateful) states = request_.query_state();
    if (states.size() != snapshot.states.size()) {
      fail("the snapshot has ", snapshot.states.size(), " states and the model ", states.size(), "; it belongs to another model");
    }
    if (!model_.stateful && static_cast<int64_t>(snapshot.tokens.size()) != snapshot.position) {
      fail("the snapshot has ", snapshot.tokens.size(), " tokens for position ", snapshot.position, "; it belongs to another model");
    }
    std::vector<ov::Tensor> tensors;
    for (const ov::VariableState& state : states) {
      const auto found = snapshot.states.find(state.get_name());
      if (found == snapshot.states.end()) fail("the snapshot has no state ", state.get_name(), "; it belongs to another model");
      const Snapshot::State& saved = found->second;
      ov::Tensor tensor(element_type(saved.type), ov::Shape(saved.shape.begin(), saved.shape.end()));
      if (tensor.get_byte_size() != saved.bytes.size()) fail("the snapshot's state ", state.get_name(), " has not the bytes of its shape");
      std::memcpy(tensor.data(), saved.bytes.data(), saved.bytes.size());
      tensors.push_back(tensor);
    }
    tokens_ = snapshot.tokens;
    for (size_t i = 0; i < states.size(); ++i) states[i].set_state(tensors[i]);
  }

 private:
  std::vector<int64_t> tokens_;  // history of the prefill-only form
};

}  // namespace

std::unique_ptr<SequenceState> make_portable_state(const LoadedModel& model) { return std::make_unique<PortableSequenceState>(model); }

}  // namespace dsv4
