// Running one sequence: checks, pieces, ways back, snapshots, and what is left of it when an inference fails.
#include "dsv4/session.h"

#include <algorithm>

#include "dsv4/error.h"
#include "ops/attention/cache_view.h"
#include "runtime/check_tokens.h"
#include "runtime/cpu_program.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/fingerprint.h"
#include "runtime/history.h"
#include "runtime/inner.h"
#include "runtime/portable_program.h"
#include "runtime/session_state.h"
#include "runtime/snapshot_form.h"

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
    digest.add(ops::kCacheVersion);
  }
  return digest.text();
}

/// Whether inferences read the file itself.
bool is_mapped(const EngineOptions& options) { return options.program != Program::kCpu || options.weights != WeightMemory::kLoad; }

}  // namespace

Session::Session(const Engine& engine)
    : engine_(engine),
      state_(in_file(Inner::model(engine).folder,
                     [&] {
                       return with_errors("no sequence can be begun", [&] {
                         const Engine::Model& model = Inner::model(engine);
                         return engine.program() == Program::kCpu ? make_cpu_state(model) : make_portable_state(model);
                       });
                     })),
      history_(std::make_unique<History>()) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

static_assert(Session::kMostRewind == ops::kSlackRows);

void Session::check_state() const {
  if (!lost_) return;
  fail("the state of this session was lost by a failure: reset it, or restore a snapshot, and go on from there. What failed: ", failure_);
}

/// After the state was replaced by another one.
void Session::set_position(int64_t position, int64_t back) {
  position_ = position;
  furthest_ = state_->rewinds() ? position + kMostRewind - back : position;
  lost_ = false;
}

void Session::infer(std::span<const Part> parts) {
  const Engine& engine = parts[0].session.engine_;
  const Engine::Model& model = Inner::model(engine);
  std::vector<State::Part> states;
  for (const Part& part : parts) {
    Session& session = part.session;
    states.push_back({*session.state_, part.tokens, session.position_, part.rows, part.logits});
    session.history_->add(part.tokens);
    session.lost_ = engine.stateful();
  }
  try {
    in_file(model.folder, [&] { with_errors("inference failed", [&] { states[0].state.infer(states); }); });
    if (is_mapped(engine.options())) model.fingerprint->check_weights_present();
  } catch (const Error& error) {
    for (const Part& part : parts) {
      part.session.history_->cut(part.session.position_);
      part.session.failure_ = error.what();
    }
    throw;
  }
  for (const Part& part : parts) {
    Session& session = part.session;
    session.lost_ = false;
    session.position_ += std::ssize(part.tokens);
    session.furthest_ = std::max(session.furthest_, session.position_);
  }
}

void Session::infer(std::span<const int64_t> piece, int64_t rows, std::vector<float>& logits, const FeedOptions& options) {
  if (options.cancel.stop_requested()) {
    const Engine::Model& model = Inner::model(engine_);
    throw Cancelled(concat(path_text(model.folder), ": feeding was cancelled; the session has ", position_, " tokens"), position_);
  }
  const Part part{*this, piece, rows, logits};
  infer(std::span(&part, 1));
  if (options.progress) options.progress(position_);
}

std::vector<float> Session::feed(std::span<const int64_t> tokens, int64_t chunk) {
  FeedOptions options;
  options.chunk = chunk;
  return feed(tokens, options);
}

void Session::check_room(std::span<const int64_t> tokens) const {
  const Engine::Model& model = Inner::model(engine_);
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
}

std::vector<float> Session::feed(std::span<const int64_t> tokens, const FeedOptions& options) {
  // Everything is checked here: OpenVINO does not check ids.
  check_state();
  check_tokens(tokens, engine_.vocab_size(), "input");
  if (options.chunk < 1) fail("chunk size ", options.chunk, ": expected at least 1");
  check_room(tokens);
  const size_t piece = engine_.stateful() ? static_cast<size_t>(options.chunk) : tokens.size();
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += piece) {
    const std::span<const int64_t> part = tokens.subspan(begin, std::min(piece, tokens.size() - begin));
    if (!engine_.options().all_logits) logits.clear();
    infer(part, state_->rows_of(std::ssize(part), begin + part.size() == tokens.size()), logits, options);
  }
  return logits;
}

void Session::reset() {
  if (!lost_) failure_ = "a reset";
  lost_ = engine_.stateful();
  with_errors("the session cannot be reset", [&] { state_->reset(); });
  history_->begin(0);
  position_ = furthest_ = 0;
  lost_ = false;
}

int64_t Session::room() const {
  const int64_t limit = engine_.static_length() > 0 ? engine_.static_length() : engine_.context();
  return std::max<int64_t>(limit - position_, 0);
}

int64_t Session::rewindable() const {
  return state_->rewinds() && !lost_ ? std::clamp<int64_t>(kMostRewind - (furthest_ - position_), 0, position_) : 0;
}

void Session::rewind(int64_t n) {
  check_state();
  if (n < 0) fail("rewind by ", n, " tokens: expected 0 or more");
  if (n > 0 && !state_->rewinds()) {
    fail("rewind: the portable program cannot take tokens back, its states are overwritten; truncate() goes back to a state that was kept");
  }
  if (n > position_) fail("rewind by ", n, " tokens: the sequence has ", position_);
  if (n > rewindable()) {
    fail("rewind by ", n, " tokens: at most ", rewindable(), " here, ", kMostRewind, " behind the furthest position, ", furthest_,
         "; truncate() goes further back");
  }
  position_ -= n;
  history_->cut(position_);
}

void Session::keep(int64_t most) {
  check_state();
  if (most < 1) fail("keep: at most ", most, " states: expected at least 1");
  const std::vector<History::Kept>& kept = history_->kept();
  // An empty sequence is kept without a copy, and so are all positions of the prefill-only form.
  if (position_ == 0 || !engine_.stateful() || (!kept.empty() && kept.back().position == position_)) return;
  with_errors("the state cannot be kept", [&] { history_->keep({position_, rewindable(), state_->keep(position_, rewindable())}, most); });
}

std::vector<int64_t> Session::kept() const {
  std::vector<int64_t> positions;
  for (const History::Kept& kept : history_->kept()) positions.push_back(kept.position);
  return positions;
}

int64_t Session::truncate(int64_t position, const FeedOptions& options) {
  if (position < 0 || position > position_) fail("truncate to ", position, " tokens: the sequence has ", position_);
  if (!lost_ && position_ - position <= rewindable()) {
    rewind(position_ - position);
    return 0;
  }
  if (position == 0) {
    reset();
    return 0;
  }
  if (!engine_.stateful()) {  // its state is its tokens
    Snapshot snapshot = save();
    snapshot.tokens.resize(static_cast<size_t>(position));
    snapshot.position = position;
    with_errors("the sequence cannot be cut", [&] { state_->prepare(snapshot)(); });
    history_->cut(position);
    set_position(position, 0);
    return 0;
  }
  const History::Kept* from = history_->nearest(position);
  if (from == nullptr && history_->known_from() > 0) {
    fail("truncate to ", position, " tokens: no state at or before it is kept; keep() keeps them, and the tokens before position ",
         history_->known_from(), ", where the session was restored, are not known");
  }
  const int64_t begin = from == nullptr ? 0 : from->position;
  const std::vector<std::vector<int64_t>> pieces = history_->pieces(begin, position);
  if (from == nullptr) {
    reset();
  } else {
    if (!lost_) failure_ = "going back to a kept state";
    lost_ = true;
    with_errors("the kept state cannot be restored", [&] { state_->go_on_from(*from->state); });
    set_position(begin, from->back);
    history_->cut(begin);
  }
  std::vector<float> unused;
  for (const std::vector<int64_t>& piece : pieces) {
    unused.clear();
    infer(piece, state_->rows_of(std::ssize(piece), false), unused, options);
  }
  return position - begin;
}

Snapshot Session::save() const {
  check_state();
  return with_errors("the session cannot be saved", [&] {
    Snapshot snapshot;
    snapshot.position = position_;
    snapshot.back = rewindable();
    if (position_ > 0) state_->save(snapshot);
    snapshot.model = mark_of_model(engine_);
    snapshot.digest = digest_of(snapshot);
    return snapshot;
  });
}

int64_t Session::snapshot_bytes() const {
  check_state();
  return position_ == 0 ? 0 : state_->saved_bytes(position_, rewindable());
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
    const int64_t most_back = state_->rewinds() ? std::min(snapshot.position, kMostRewind) : 0;
    if (snapshot.back < 0 || snapshot.back > most_back)
      fail("the snapshot goes back by ", snapshot.back, " tokens, expected 0 to ", most_back);
    if (snapshot.position == 0) return reset();
    const std::function<void()> set = state_->prepare(snapshot);
    set();
    history_->begin(snapshot.position);
    set_position(snapshot.position, snapshot.back);
  });
}

Session Session::fork() const {
  check_state();
  Session other(engine_);
  with_errors("the session cannot be forked", [&] {
    if (position_ > 0) other.state_->go_on_from(*state_->keep(position_, rewindable()));
    *other.history_ = *history_;
    other.position_ = position_;
    other.furthest_ = furthest_;
  });
  return other;
}

}  // namespace dsv4
