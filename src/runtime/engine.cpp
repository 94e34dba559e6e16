// Loading and compiling a model folder.
#include "dsv4/engine.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "checkpoint/blamed_file.h"
#include "checkpoint/end_tokens.h"
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
#include "runtime/errors.h"
#include "runtime/expansion.h"
#include "runtime/loaded_model.h"
#include "runtime/stated_config.h"
#include "runtime/stored_formats.h"

namespace dsv4 {

namespace fs = std::filesystem;
namespace op = ov::op;

namespace {

std::set<std::string> input_names(const ov::Model& model) {
  std::set<std::string> names;
  for (const auto& input : model.inputs()) {
    for (const std::string& name : input.get_names()) names.insert(name);
  }
  return names;
}

bool check_interface(const ov::Model& model, const Config& config, const fs::path& folder) {
  const std::set<std::string> names = input_names(model);
  const bool prefill_only = names == std::set<std::string>{"input_ids"};
  const bool stateful = names == std::set<std::string>{"input_ids", "attention_mask", "position_ids", "beam_idx"};
  if (!prefill_only && !stateful)
    fail(path_text(folder), ": the inputs of openvino_model.xml are not those of a dsv4 model; convert the checkpoint again");
  const auto outputs = model.outputs();
  const auto output = std::find_if(outputs.begin(), outputs.end(), [](const auto& o) { return o.get_names().contains("logits"); });
  if (output == outputs.end()) fail(path_text(folder), ": openvino_model.xml has no output logits; convert the checkpoint again");
  const ov::PartialShape logits = output->get_partial_shape();
  if (logits.rank() != 3 || logits[2] != config.vocab_size) {
    fail(path_text(folder), ": config.json says vocab_size ", config.vocab_size, " but the logits of openvino_model.xml are ",
         logits.to_string());
  }
  return stateful;
}

// Tokens of a sequence of a folder with static shapes, else 0.
int64_t fixed_length(const ov::Model& model, const fs::path& folder) {
  const ov::PartialShape shape = model.input("input_ids").get_partial_shape();  // [B,S]
  if (shape.is_dynamic()) return 0;
  if (shape[0] != 1) {
    fail(path_text(folder), ": made for ", shape[0].get_length(),
         " rows at a time (--static-shape), and dsv4 runs one; convert with --static-shape 1,", shape[1].get_length());
  }
  return shape[1].get_length();
}

bool supports(ov::Core& core, const std::string& device, const std::string& property) {
  try {
    const auto supported = core.get_property(device, ov::supported_properties);
    return std::find(supported.begin(), supported.end(), property) != supported.end();
  } catch (const ov::Exception&) {  // no such device: compile_model says so better
    return false;
  }
}

// Settles kAuto; Error for a program that the folder or the device does not allow.
void choose_program(LoadedModel& loaded, const fs::path& folder) {
  EngineOptions& options = loaded.options;
  const bool fits = loaded.stateful && options.device == "CPU";
  if (options.program == Program::kAuto) options.program = fits ? Program::kCpu : Program::kPortable;
  if (options.program == Program::kCpu && !loaded.stateful) {
    fail(path_text(folder),
         ": a prefill-only model; the CPU program keeps state. Use --program portable, or convert without --disable-stateful");
  }
  const int64_t limit = loaded.config.max_position_embeddings;
  if (options.context < 0 || options.context > limit)
    fail(path_text(folder), ": a context of ", options.context, " tokens: expected 1 to ", limit, ", or 0 for that");
}

// The head on the last position only: Gather in front of the last MatMul, whose input is [B,S,D].
void keep_last_position(ov::Model& model) {
  const auto result = model.get_results().front();
  const auto head = ov::as_type_ptr<op::v0::MatMul>(result->get_input_node_shared_ptr(0));
  if (!head) fail("the model does not end in a MatMul; convert the checkpoint again");
  const auto last = std::make_shared<op::v8::Gather>(head->input_value(0), op::v0::Constant::create(ov::element::i32, {1}, {-1}),
                                                     op::v0::Constant::create(ov::element::i32, {}, {1}));  // [B,S,D] -> [B,1,D]
  head->input(0).replace_source_output(last);
  model.validate_nodes_and_infer_types();
}

std::map<std::string, StateForm> state_forms(const ov::Model& model, const Config& config, const fs::path& folder) {
  std::map<std::string, StateForm> forms;
  for (const auto& variable : model.get_variables()) {
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

}  // namespace

void check_options(const EngineOptions& options) {
  if (options.program == Program::kCpu && options.device != "CPU") {
    throw UsageError(concat("the CPU program runs on the CPU, not on the device ", quote(options.device), "; use --program portable"));
  }
  if (options.device == "CPU") return;
  ov::Core core;
  try {
    core.get_property(options.device, ov::supported_properties);
  } catch (const std::exception&) {
    throw UsageError(
        concat("--device: OpenVINO has no device ", quote(options.device), " here; there are ", joined(core.get_available_devices())));
  }
}

ov::AnyMap compile_properties(const EngineOptions& options) {
  ov::AnyMap properties = {ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY), ov::hint::inference_precision(ov::element::f32)};
  if (options.threads > 0) properties.insert(ov::inference_num_threads(options.threads));
  return properties;
}

void load_portable(LoadedModel& loaded, const std::shared_ptr<ov::Model>& model, const fs::path& folder) {
  const EngineOptions& options = loaded.options;
  if (options.device == "CPU") check_expansion(*model, available_memory(), path_text(folder));
  loaded.states = state_forms(*model, loaded.config, folder);
  in_file(folder / kModelXml, [&] {
    check_tables(*model, loaded.config);
    if (!options.all_logits) keep_last_position(*model);
  });

  ov::Core core;
  ov::AnyMap properties = compile_properties(options);
  // Else the CPU rounds the inputs of every product with 4- and 8-bit weights to 8 bits, in groups of 32 (docs/formats.md). Not every device has it.
  const auto activation_groups = ov::hint::dynamic_quantization_group_size(0);
  if (supports(core, options.device, activation_groups.first)) properties.insert(activation_groups);
  const BlamedFile blamed(folder / kModelXml);
  try {
    loaded.compiled = core.compile_model(model, options.device, properties);
  } catch (const std::exception& e) {
    fail(path_text(folder / kModelXml), ": OpenVINO cannot compile it for the device ", options.device, ": ", reason_of(e));
  }
}

Engine::Engine(const fs::path& folder, const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  check_options(options);
  const auto loaded = std::make_shared<LoadedModel>();
  loaded->folder = folder;
  loaded->options = options;
  loaded->fingerprint = std::make_unique<Fingerprint>(folder);
  loaded->config = read_config(folder);
  loaded->end_tokens = read_end_tokens(folder, loaded->config);
  const std::shared_ptr<ov::Model> ir = read_ir(folder);
  const std::string notice = check_stated_config(loaded->config, *ir, folder);
  if (!notice.empty() && options.notice) options.notice(notice);
  loaded->stateful = check_interface(*ir, loaded->config, folder);
  loaded->static_length = fixed_length(*ir, folder);
  choose_program(*loaded, folder);
  in_file(folder / kModelXml, [&] { check_weights(*ir, loaded->config); });
  if (loaded->options.program == Program::kCpu) {
    load_cpu(*loaded, ir, folder);
  } else {
    load_portable(*loaded, ir, folder);
  }
  loaded->open_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  model_ = loaded;
}

const EngineOptions& Engine::options() const { return model_->options; }
Program Engine::program() const { return model_->options.program; }
int64_t Engine::vocabulary() const { return model_->config.vocab_size; }
int64_t Engine::context() const {
  const int64_t limit = model_->options.context;
  return limit > 0 ? limit : model_->config.max_position_embeddings;
}
bool Engine::stateful() const { return model_->stateful; }
int64_t Engine::static_length() const { return model_->static_length; }
int Engine::threads() const { return model_->compiled.get_property(ov::inference_num_threads); }
double Engine::open_seconds() const { return model_->open_seconds; }
ActiveBytes Engine::active_bytes() const { return model_->token_bytes.active; }
const Config& Engine::config() const { return model_->config; }

bool Engine::is_end(int64_t token) const {
  const std::vector<int64_t>& ends = model_->end_tokens;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

int64_t Engine::cache_bytes(int64_t position) const {
  if (program() != Program::kCpu) return 0;
  return ops::CacheLayout(model_->cache).read_bytes(position, model_->config.index_topk);
}

}  // namespace dsv4
