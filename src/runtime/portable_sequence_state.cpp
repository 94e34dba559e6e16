// A sequence of the portable program: OpenVINO's states, or the whole history in the prefill-only form.
#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "checkpoint/blamed_file.h"
#include "dsv4/error.h"
#include "runtime/sequence_state.h"

namespace dsv4 {

namespace {

/// A saved state as a tensor of its own; Error when it is none of the model's after `position` tokens.
ov::Tensor tensor_of(const std::string& name, const Snapshot::State& saved, const StateForm& form, int64_t position) {
  const ov::Shape shape(saved.shape.begin(), saved.shape.end());
  const bool fits =
      saved.type == form.type.get_type_name() && shape.size() == static_cast<size_t>(form.shape.size()) && form.shape.compatible(shape);
  if (!fits)
    fail("the snapshot's state ", name, " is ", saved.type, " ", shape, ", expected ", form.type, " ", form.shape,
         "; it belongs to another model");
  ov::Shape one_row = shape;
  size_t rows = 1;
  if (form.positions_a_row > 0) rows = std::exchange(one_row[form.growing_dim], 1);
  const size_t row_bytes = ov::shape_size(one_row) * form.type.size();
  if (saved.bytes.size() / row_bytes != rows || saved.bytes.size() % row_bytes != 0) {
    fail("the snapshot's state ", name, " has ", saved.bytes.size(), " bytes, which are not those of its shape ", shape);
  }
  if (form.positions_a_row > 0 && rows < static_cast<size_t>(position / form.positions_a_row)) {
    fail("the snapshot's state ", name, " has ", rows, " rows for ", position, " tokens, expected at least ",
         position / form.positions_a_row);
  }
  ov::Tensor tensor(form.type, shape);
  std::memcpy(tensor.data(), saved.bytes.data(), saved.bytes.size());
  return tensor;
}

class PortableSequenceState final : public SequenceState {
 public:
  using SequenceState::SequenceState;

  int64_t rows_of(int64_t length, bool) const override { return model_.options.all_logits ? length : 1; }

  void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) override {
    const BlamedFile blamed(model_.folder / kModelXml);
    const size_t length = tokens_.size() + tokens.size();  // (only the prefill-only form has a history)
    ov::Tensor ids(ov::element::i64, {1, length});
    std::copy(tokens.begin(), tokens.end(), std::copy(tokens_.begin(), tokens_.end(), ids.data<int64_t>()));
    request_.set("input_ids", ids);
    if (model_.stateful) {
      ov::Tensor mask(ov::element::i64, {1, static_cast<size_t>(position) + length});
      std::fill_n(mask.data<int64_t>(), mask.get_size(), 1);
      ov::Tensor positions(ov::element::i64, {1, length});
      std::iota(positions.data<int64_t>(), positions.data<int64_t>() + length, position);
      ov::Tensor beams(ov::element::i32, {1});
      beams.data<int32_t>()[0] = 0;
      request_.set("attention_mask", mask);
      request_.set("position_ids", positions);
      request_.set("beam_idx", beams);
    }
    const auto vocab = static_cast<size_t>(model_.config.vocab_size);
    failed_ = true;
    const std::span<const float> all = request_.infer({1, model_.options.all_logits ? length : 1, vocab});
    const std::span<const float> values = all.last(static_cast<size_t>(rows) * vocab);
    logits.insert(logits.end(), values.begin(), values.end());
    failed_ = false;
    if (!model_.stateful) tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

  void reset() override {
    if (failed_) request_ = CheckedRequest(model_.compiled);  // nothing is known of the states of the other one
    if (model_.stateful) request_.request().reset_state();
    failed_ = false;
    tokens_.clear();
  }

  void save(Snapshot& snapshot) override {
    snapshot.tokens = tokens_;
    if (!model_.stateful) return;
    for (ov::VariableState& state : request_.request().query_state()) {
      const ov::Tensor live = state.get_state();
      const ov::Shape& shape = live.get_shape();
      Snapshot::State copy{
          live.get_element_type().get_type_name(), {shape.begin(), shape.end()}, std::vector<std::byte>(live.get_byte_size())};
      live.copy_to(ov::Tensor(live.get_element_type(), shape, copy.bytes.data()));
      snapshot.states.emplace(state.get_name(), std::move(copy));
    }
  }

  std::function<void()> prepare(const Snapshot& snapshot) override {
    const std::map<std::string, StateForm>& forms = model_.states;
    if (forms.size() != snapshot.states.size()) {
      fail("the snapshot has ", snapshot.states.size(), " states and the model ", forms.size(), "; it belongs to another model");
    }
    if (static_cast<int64_t>(snapshot.tokens.size()) != (model_.stateful ? 0 : snapshot.position)) {
      fail("the snapshot has ", snapshot.tokens.size(), " tokens for position ", snapshot.position, "; it belongs to another model");
    }
    if (!model_.stateful) {
      check_tokens(snapshot.tokens, model_.config.vocab_size, "the snapshot");
      return [this, tokens = snapshot.tokens]() mutable { tokens_.swap(tokens); };
    }
    // The states of a request of its own, which takes the place of the other once all are set.
    auto fresh = std::make_shared<CheckedRequest>(model_.compiled);
    for (ov::VariableState& state : fresh->request().query_state()) {
      const std::string name = state.get_name();
      const auto found = snapshot.states.find(name);
      const auto form = forms.find(name);
      if (found == snapshot.states.end() || form == forms.end()) fail("the snapshot has no state ", name, "; it belongs to another model");
      state.set_state(tensor_of(name, found->second, form->second, snapshot.position));
    }
    return [this, fresh] {
      std::swap(request_, *fresh);
      failed_ = false;
    };
  }

 private:
  std::vector<int64_t> tokens_;  // history of the prefill-only form
  bool failed_ = false;          // the last inference
};

}  // namespace

std::unique_ptr<SequenceState> make_portable_state(const LoadedModel& model) { return std::make_unique<PortableSequenceState>(model); }

}  // namespace dsv4
