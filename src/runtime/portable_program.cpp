// Opening a folder for the portable program, and its sequences: OpenVINO's states, or the whole history in the prefill-only form.
#include "runtime/portable_program.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>

#include "checkpoint/blamed_file.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "graph/model.h"
#include "graph/portable/raw_rows.h"
#include "openvino/core/model.hpp"
#include "openvino/op/constant.hpp"
#include "openvino/op/gather.hpp"
#include "openvino/op/matmul.hpp"
#include "openvino/runtime/core.hpp"
#include "runtime/available_memory.h"
#include "runtime/check_tokens.h"
#include "runtime/checked_inference.h"
#include "runtime/engine_model.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/session_state.h"
#include "runtime/stored_formats.h"
#include "runtime/unpacked_bytes.h"

namespace dsv4 {

namespace fs = std::filesystem;
namespace op = ov::op;

namespace {

bool supports(ov::Core& core, const std::string& device, const std::string& property) {
  try {
    const auto supported = core.get_property(device, ov::supported_properties);
    return std::find(supported.begin(), supported.end(), property) != supported.end();
  } catch (const ov::Exception&) {  // no such device: compile_model says so better
    return false;
  }
}

// The head on the last position only: Gather in front of the last MatMul, whose input is [B,S,D].
void keep_last_position(ov::Model& ir) {
  const auto result = ir.get_results().front();
  const auto head = ov::as_type_ptr<op::v0::MatMul>(result->get_input_node_shared_ptr(0));
  if (!head) fail("the model does not end in a MatMul; convert the checkpoint again");
  const auto last = std::make_shared<op::v8::Gather>(head->input_value(0), op::v0::Constant::create(ov::element::i32, {1}, {-1}),
                                                     op::v0::Constant::create(ov::element::i32, {}, {1}));  // [B,S,D] -> [B,1,D]
  head->input(0).replace_source_output(last);
  ir.validate_nodes_and_infer_types();
}

std::map<std::string, StateForm> state_forms(const ov::Model& ir, const Config& config, const fs::path& folder) {
  std::map<std::string, StateForm> forms;
  for (const auto& variable : ir.get_variables()) {
    const ov::op::util::VariableInfo& info = variable->get_info();
    StateForm& form = forms[info.variable_id];
    form.type = info.data_type;
    form.shape = info.data_shape;
    if (form.shape.rank().is_dynamic() || form.shape.size() < 1)
      fail(path_text(folder), ": the state ", info.variable_id, " of openvino_model.xml has no shape; convert the checkpoint again");
    form.shape[0] = 1;  // one sequence
  }
  for (const Block& block : model_blocks(config)) {
    const auto list = forms.find(entry_state_name(block.prefix));
    if (list == forms.end()) continue;
    StateForm& form = list->second;
    form.positions_a_row = block.kind.compress_ratio;
    while (form.growing_dim + 1 < form.shape.size() && form.shape[form.growing_dim].is_static()) ++form.growing_dim;
  }
  for (const auto& [name, form] : forms) {
    ov::PartialShape rest = form.shape;
    if (form.positions_a_row > 0) rest[form.growing_dim] = 0;
    if (rest.is_dynamic() || form.type.size() == 0) {
      fail(path_text(folder), ": the state ", name, " of openvino_model.xml is ", form.type, " ", form.shape,
           "; convert the checkpoint again");
    }
  }
  return forms;
}

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

class PortableState final : public Session::State {
 public:
  explicit PortableState(const Engine::Model& model) : State(model), inference_(model.compiled) {}

  int64_t rows_of(int64_t length, bool) const override { return model_.options.all_logits ? length : 1; }

  void infer(std::span<const Part> parts) override {
    for (const Part& part : parts) static_cast<PortableState&>(part.state).infer(part.tokens, part.position, part.rows, part.logits);
  }

  bool rewinds() const override { return false; }  // states are overwritten

  void reset() override {
    if (failed_) inference_ = CheckedInference(model_.compiled);  // nothing is known of the states of the other one
    if (model_.stateful) inference_.request().reset_state();
    failed_ = false;
    tokens_.clear();
  }

  void save(Snapshot& snapshot) override {
    if (!model_.stateful) {
      snapshot.tokens.assign(tokens_.begin(), tokens_.begin() + snapshot.position);
      return;
    }
    for (ov::VariableState& state : inference_.request().query_state()) {
      const ov::Tensor live = state.get_state();
      const ov::Shape& shape = live.get_shape();
      Snapshot::State copy{
          live.get_element_type().get_type_name(), {shape.begin(), shape.end()}, std::vector<std::byte>(live.get_byte_size())};
      live.copy_to(ov::Tensor(live.get_element_type(), shape, copy.bytes.data()));
      snapshot.states.emplace(state.get_name(), std::move(copy));
    }
  }

  int64_t saved_bytes(int64_t position, int64_t) override {
    if (!model_.stateful) return position * static_cast<int64_t>(sizeof(int64_t));
    int64_t bytes = 0;
    for (ov::VariableState& state : inference_.request().query_state()) bytes += static_cast<int64_t>(state.get_state().get_byte_size());
    return bytes;
  }

  struct KeptSnapshot final : Kept {
    Snapshot snapshot;
  };

  std::shared_ptr<const Kept> keep(int64_t position, int64_t) override {
    auto kept = std::make_shared<KeptSnapshot>();
    kept->snapshot.position = position;
    save(kept->snapshot);
    return kept;
  }

  void go_on_from(const Kept& kept) override { prepare(static_cast<const KeptSnapshot&>(kept).snapshot)(); }

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
    auto fresh = std::make_shared<CheckedInference>(model_.compiled);
    for (ov::VariableState& state : fresh->request().query_state()) {
      const std::string name = state.get_name();
      const auto found = snapshot.states.find(name);
      const auto form = forms.find(name);
      if (found == snapshot.states.end() || form == forms.end()) fail("the snapshot has no state ", name, "; it belongs to another model");
      state.set_state(tensor_of(name, found->second, form->second, snapshot.position));
    }
    return [this, fresh] {
      std::swap(inference_, *fresh);
      failed_ = false;
    };
  }

  void fill_with_noise(int64_t) override { fail("the portable program cannot start in the middle of a sequence; use the CPU program"); }

 private:
  void infer(std::span<const int64_t> tokens, int64_t position, int64_t rows, std::vector<float>& logits) {
    const BlamedFile blamed(model_.folder / kModelXml);
    if (!model_.stateful) tokens_.resize(static_cast<size_t>(position));  // what a step that failed as a whole has left
    const size_t length = tokens_.size() + tokens.size();                 // (only the prefill-only form has a history)
    ov::Tensor ids(ov::element::i64, {1, length});
    std::copy(tokens.begin(), tokens.end(), std::copy(tokens_.begin(), tokens_.end(), ids.data<int64_t>()));
    inference_.set("input_ids", ids);
    if (model_.stateful) {
      ov::Tensor mask(ov::element::i64, {1, static_cast<size_t>(position) + length});
      std::fill_n(mask.data<int64_t>(), mask.get_size(), 1);
      ov::Tensor positions(ov::element::i64, {1, length});
      std::iota(positions.data<int64_t>(), positions.data<int64_t>() + length, position);
      ov::Tensor beams(ov::element::i32, {1});
      beams.data<int32_t>()[0] = 0;
      inference_.set("attention_mask", mask);
      inference_.set("position_ids", positions);
      inference_.set("beam_idx", beams);
    }
    const auto vocab = static_cast<size_t>(model_.config.vocab_size);
    failed_ = true;
    const std::span<const float> all = inference_.infer({1, model_.options.all_logits ? length : 1, vocab});
    const std::span<const float> values = all.last(static_cast<size_t>(rows) * vocab);
    logits.insert(logits.end(), values.begin(), values.end());
    failed_ = false;
    if (!model_.stateful) tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

  CheckedInference inference_;
  std::vector<int64_t> tokens_;  // history of the prefill-only form
  bool failed_ = false;          // the last inference
};

}  // namespace

void open_portable_program(Engine::Model& model, const std::shared_ptr<ov::Model>& ir) {
  const EngineOptions& options = model.options;
  const fs::path& folder = model.folder;
  if (options.device == "CPU") check_unpacked_bytes(*ir, available_memory(), path_text(folder));
  model.states = state_forms(*ir, model.config, folder);
  in_file(folder / kModelXml, [&] {
    check_tables(*ir, model.config);
    if (!options.all_logits) keep_last_position(*ir);
  });

  ov::Core core;
  ov::AnyMap properties = compile_properties(options);
  // Else the CPU rounds the inputs of every product with 4- and 8-bit weights to 8 bits, in groups of 32 (docs/formats.md). Not every
  // device has it.
  const auto activation_groups = ov::hint::dynamic_quantization_group_size(0);
  if (supports(core, options.device, activation_groups.first)) properties.insert(activation_groups);
  const BlamedFile blamed(folder / kModelXml);
  try {
    model.compiled = core.compile_model(ir, options.device, properties);
  } catch (const std::exception& e) {
    fail(path_text(folder / kModelXml), ": OpenVINO cannot compile it for the device ", options.device, ": ", reason_of(e));
  }
}

std::unique_ptr<Session::State> make_portable_state(const Engine::Model& model) { return std::make_unique<PortableState>(model); }

}  // namespace dsv4
