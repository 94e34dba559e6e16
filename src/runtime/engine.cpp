// Opening a model folder, and what an engine says of it.
#include "dsv4/engine.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "checkpoint/end_tokens.h"
#include "checkpoint/listed_files.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "openvino/core/model.hpp"
#include "ops/sequences/sequences.h"
#include "runtime/cpu_program.h"
#include "runtime/engine_model.h"
#include "runtime/engine_options.h"
#include "runtime/errors.h"
#include "runtime/portable_program.h"
#include "runtime/read_ir.h"
#include "runtime/stated_config.h"
#include "runtime/stored_formats.h"

namespace dsv4 {

namespace fs = std::filesystem;

namespace {

std::set<std::string> input_names(const ov::Model& ir) {
  std::set<std::string> names;
  for (const auto& input : ir.inputs()) {
    for (const std::string& name : input.get_names()) names.insert(name);
  }
  return names;
}

bool check_interface(const ov::Model& ir, const Config& config, const fs::path& folder) {
  const std::set<std::string> names = input_names(ir);
  const bool prefill_only = names == std::set<std::string>{"input_ids"};
  const bool stateful = names == std::set<std::string>{"input_ids", "attention_mask", "position_ids", "beam_idx"};
  if (!prefill_only && !stateful)
    fail(path_text(folder), ": the inputs of openvino_model.xml are not those of a dsv4 model; convert the checkpoint again");
  const auto outputs = ir.outputs();
  const auto output = std::find_if(outputs.begin(), outputs.end(), [](const auto& o) { return o.get_names().contains("logits"); });
  if (output == outputs.end()) fail(path_text(folder), ": openvino_model.xml has no output logits; convert the checkpoint again");
  const ov::PartialShape logits = output->get_partial_shape();
  if (logits.rank() != 3 || logits[2] != config.vocab_size) {
    fail(path_text(folder), ": config.json says vocab_size ", config.vocab_size, " but the logits of openvino_model.xml are ",
         logits.to_string());
  }
  return stateful;
}

bool is_cpu_program(const ov::Model& ir) {
  const ov::NodeVector nodes = ir.get_ops();
  return std::any_of(nodes.begin(), nodes.end(), [](const auto& node) { return ov::is_type<ops::Sequences>(node); });
}

// Tokens of a sequence of a folder with static shapes, else 0.
int64_t fixed_length(const ov::Model& ir, const fs::path& folder) {
  const ov::PartialShape shape = ir.input("input_ids").get_partial_shape();  // [B,S]
  if (shape.is_dynamic()) return 0;
  if (shape[0] != 1) {
    fail(path_text(folder), ": made for ", shape[0].get_length(),
         " rows at a time (--static-shape), and dsv4 runs one; convert with --static-shape 1,", shape[1].get_length());
  }
  return shape[1].get_length();
}

// Settles kAuto; Error for a program that the folder or the device does not allow.
void choose_program(Engine::Model& model) {
  EngineOptions& options = model.options;
  const bool fits = model.stateful && options.device == "CPU";
  if (options.program == Program::kAuto) options.program = fits ? Program::kCpu : Program::kPortable;
  if (options.program == Program::kCpu && !model.stateful) {
    fail(path_text(model.folder),
         ": a prefill-only model; the CPU program keeps state. Use --program portable, or convert without --disable-stateful");
  }
  if (options.program == Program::kPortable && model.cpu_only) {
    fail(path_text(model.folder), ": a folder of the CPU program (convert --program cpu); --program portable",
         options.device == "CPU" ? "" : concat(" and -d ", options.device), " needs a folder that was converted without it");
  }
  if (options.program == Program::kPortable && (options.weights == WeightMemory::kStream || !options.routes.empty())) {
    fail(path_text(model.folder), ": it runs as the portable program here, and ",
         options.routes.empty() ? "--weights stream is" : "--routes are", " for --program cpu");
  }
  const int64_t limit = model.config.max_position_embeddings;
  if (options.context < 0 || options.context > limit)
    fail(path_text(model.folder), ": a context of ", options.context, " tokens: expected 1 to ", limit, ", or 0 for that");
}

}  // namespace

Engine::Engine(const fs::path& folder, const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  check_options(options);
  const auto model = std::make_shared<Model>();
  model->folder = folder;
  model->options = options;
  model->fingerprint = std::make_unique<Fingerprint>(folder);
  model->config = read_config(folder);
  model->end_tokens = read_end_tokens(folder, model->config);
  const std::shared_ptr<ov::Model> ir = read_ir(folder);
  const std::string notice = check_stated_config(model->config, *ir, folder);
  if (!notice.empty() && options.notice) options.notice(notice);
  model->stateful = check_interface(*ir, model->config, folder);
  model->cpu_only = is_cpu_program(*ir);
  model->static_length = fixed_length(*ir, folder);
  choose_program(*model);
  in_file(folder / kModelXml, [&] { check_weights(*ir, model->config); });
  if (model->options.program == Program::kCpu) {
    open_cpu_program(*model, ir);
  } else {
    open_portable_program(*model, ir);
  }
  model->open_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  model_ = model;
}

const EngineOptions& Engine::options() const { return model_->options; }
Program Engine::program() const { return model_->options.program; }
int64_t Engine::vocab_size() const { return model_->config.vocab_size; }
int64_t Engine::context() const {
  const int64_t limit = model_->options.context;
  return limit > 0 ? limit : model_->config.max_position_embeddings;
}
bool Engine::stateful() const { return model_->stateful; }
int64_t Engine::static_length() const { return model_->static_length; }
int Engine::threads() const { return model_->compiled.get_property(ov::inference_num_threads); }
double Engine::open_seconds() const { return model_->open_seconds; }
int64_t Engine::prompt_chunk() const { return model_->experts ? kPromptChunkFromDrive : kPromptChunk; }
ActiveBytes Engine::active_bytes() const { return model_->token_bytes.active; }

bool Engine::is_end(int64_t token) const {
  const std::vector<int64_t>& ends = model_->end_tokens;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

int64_t Engine::cache_bytes(int64_t position) const {
  if (program() != Program::kCpu) return 0;
  return ops::CacheLayout(model_->cache).read_bytes(position, model_->config.index_topk);
}

}  // namespace dsv4
