// Running one sequence: checks, pieces, snapshots, and what is left of it when an inference fails.
#include "dsv4/session.h"

#include <algorithm>

#include "dsv4/error.h"
#include "runtime/check_tokens.h"
#include "runtime/cpu_program.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/fingerprint.h"
#include "runtime/inner.h"
#include "runtime/portable_program.h"
#include "runtime/session_state.h"

namespace dsv4 {

namespace {

/// The folder, and the options that what is in a state depends on.
std::string mark_of_model(const Engine& engine) {
  const EngineOptions& options = engine.options();
  Digest digest;
  digest.add(Inner::model(engine).fingerprint->text());
  digest.add(static_cast<int64_t>(options.program));
  if (options.program == Program::kCpu) {
    digest.add(static_cast<int64_t>(options.activations));
    digest.add(static_cast<int64_t>(options.cache));
    digest.add(static_cast<int64_t>(options.quantize_cache));
  }
  return digest.text();
}

/// Whether inferences read the file itself.
bool is_mapped(const EngineOptions& options) { return options.program != Program::kCpu || options.weights != WeightMemory::kLoad; }

std::string digest_of(const Snapshot& snapshot) {
  Digest digest;
  digest.add(snapshot.model);
  digest.add(snapshot.position);
  digest.add(std::as_bytes(std::span(snapshot.tokens)));
  digest.add(static_cast<int64_t>(snapshot.states.size()));
  for (const auto& [name, state] : snapshot.states) {
    digest.add(name);
    digest.add(state.type);
    digest.add(std::as_bytes(std::span(state.shape)));
    digest.add(state.bytes);
  }
  return digest.text();
}

}  // namespace

Session::Session(const Engine& engine)
    : engine_(engine), state_(in_file(Inner::model(engine).folder, [&] {
        return with_errors("no sequence can be begun", [&] {
          const Engine::Model& model = Inner::model(engine);
          return engine.program() == Program::kCpu ? make_cpu_state(model) : make_portable_state(model);
        });
      })) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

void Session::check_state() const {
  if (!lost_) return;
  fail("the state of this session was lost by a failure: reset it, or restore a snapshot, and go on from there. What failed: ", failure_);
}

std::vector<float> Session::feed(std::span<const int64_t> tokens, int64_t chunk) {
  const Engine::Model& model = Inner::model(engine_);
  // Everything is checked here: OpenVINO does not check ids.
  check_state();
  check_tokens(tokens, engine_.vocab_size(), "input");
  if (chunk < 1) fail("chunk size ", chunk, ": expected at least 1");
  const int64_t length = position_ + static_cast<int64_t>(tokens.size());
  const int64_t limit = engine_.context(), fixed = engine_.static_length();
  if (limit > 0 && length > limit) {
    const bool of_model = limit == model.config.max_position_embeddings;
    fail(path_text(model.folder), ": the sequence would have ", length, " tokens; the ",
         of_model ? "model was made for " : "context was limited to ", limit);
  }
  if (fixed > 0 && length != fixed) {
    fail(path_text(model.folder), ": the sequence would have ", length, " tokens; the model was made for exactly ", fixed,
         " (--static-shape)");
  }
  const size_t piece = engine_.stateful() ? static_cast<size_t>(chunk) : tokens.size();
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += piece) {
    const std::span<const int64_t> part = tokens.subspan(begin, std::min(piece, tokens.size() - begin));
    const int64_t rows = state_->rows_of(static_cast<int64_t>(part.size()), begin + part.size() == tokens.size());
    if (!engine_.options().all_logits) logits.clear();
    lost_ = engine_.stateful();
    try {
      in_file(model.folder, [&] { with_errors("inference failed", [&] { state_->infer(part, position_, rows, logits); }); });
      if (is_mapped(engine_.options())) model.fingerprint->check_weights_present();
    } catch (const Error& error) {
      failure_ = error.what();
      throw;
    }
    lost_ = false;
    position_ += static_cast<int64_t>(part.size());
  }
  return logits;
}

void Session::reset() {
  if (!lost_) failure_ = "a reset";
  lost_ = engine_.stateful();
  with_errors("the session cannot be reset", [&] { state_->reset(); });
  position_ = 0;
  lost_ = false;
}

int64_t Session::room() const {
  const int64_t limit = engine_.static_length() > 0 ? engine_.static_length() : engine_.context();
  return std::max<int64_t>(limit - position_, 0);
}

Snapshot Session::save() const {
  check_state();
  return with_errors("the session cannot be saved", [&] {
    Snapshot snapshot;
    snapshot.position = position_;
    if (position_ > 0) state_->save(snapshot);
    snapshot.model = mark_of_model(engine_);
    snapshot.digest = digest_of(snapshot);
    return snapshot;
  });
}

void Session::restore(const Snapshot& snapshot) {
  with_errors("the snapshot cannot be restored", [&] {
    if (snapshot.model.empty()) fail("the snapshot does not say which model it is of; it was made by an earlier dsv4, or is none");
    if (snapshot.model != mark_of_model(engine_))
      fail("the snapshot belongs to another model, or was made with other options of the engine");
    if (snapshot.digest != digest_of(snapshot))
      fail("the snapshot is damaged: its digest is ", snapshot.digest, ", expected ", digest_of(snapshot));
    if (snapshot.position < 0 || snapshot.position > engine_.context()) {
      fail("the snapshot has ", snapshot.position, " tokens; the context is limited to ", engine_.context());
    }
    if (snapshot.position == 0) return reset();
    const std::function<void()> set = state_->prepare(snapshot);
    set();
    position_ = snapshot.position;
    lost_ = false;
  });
}

Session Session::fork() const {
  Session other(engine_);
  other.restore(save());
  return other;
}

}  // namespace dsv4
