// Running one sequence: checks, pieces, snapshots.
#include "dsv4/session.h"

#include <algorithm>

#include "dsv4/error.h"
#include "runtime/sequence_state.h"

namespace dsv4 {

void check_tokens(std::span<const int64_t> tokens, int64_t vocabulary, const std::string& what) {
  if (tokens.empty()) fail(what, ": no tokens; expected at least one");
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocabulary) {
      fail(what, ": token ", i, " is ", tokens[i], "; expected an id from 0 to ", vocabulary - 1);
    }
  }
}

Session::Session(const Engine& engine)
    : engine_(engine), state_(engine.program() == Program::kCpu ? make_cpu_state(engine.loaded()) : make_portable_state(engine.loaded())) {}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<float> Session::feed(std::span<const int64_t> tokens, int64_t chunk) {
  // Everything is checked here: OpenVINO does not check ids, and on one thread it swallows exceptions.
  check_tokens(tokens, engine_.vocabulary(), "input");
  if (chunk < 1) fail("chunk size ", chunk, ": expected at least 1");
  const int64_t length = position_ + static_cast<int64_t>(tokens.size());
  const int64_t limit = engine_.context(), fixed = engine_.static_length();
  if (limit > 0 && length > limit) {
    const bool of_model = limit == engine_.config().max_position_embeddings;
    fail("the sequence would have ", length, " tokens; the ", of_model ? "model was made for " : "context was limited to ", limit);
  }
  if (fixed > 0 && length != fixed) {
    fail("the sequence would have ", length, " tokens; the model was made for exactly ", fixed, " (--static-shape)");
  }
  const size_t piece = engine_.stateful() ? static_cast<size_t>(chunk) : tokens.size();
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += piece) {
    const std::span<const int64_t> part = tokens.subspan(begin, std::min(piece, tokens.size() - begin));
    const int64_t rows = state_->rows_of(static_cast<int64_t>(part.size()), begin + part.size() == tokens.size());
    if (!engine_.options().all_logits) logits.clear();
    state_->infer(part, position_, rows, logits);
    position_ += static_cast<int64_t>(part.size());
  }
  return logits;
}

void Session::reset() {
  position_ = 0;
  state_->reset();
}

Snapshot Session::save() const {
  Snapshot snapshot;
  snapshot.position = position_;
  if (position_ > 0) state_->save(snapshot);
  return snapshot;
}

void Session::restore(const Snapshot& snapshot) {
  if (snapshot.position == 0) return reset();
  if (snapshot.position < 0 || (engine_.context() > 0 && snapshot.position > engine_.context())) {
    fail("the snapshot has ", snapshot.position, " tokens and the model takes ", engine_.context(), "; it belongs to another model");
  }
  state_->restore(snapshot);
  position_ = snapshot.position;
}

Session Session::fork() const {
  Session other(engine_);
  other.restore(save());
  return other;
}

void Session::fill_with_noise(int64_t position) {
  if (position < 0 || (engine_.context() > 0 && position > engine_.context())) {
    fail("position ", position, ": expected 0 to ", engine_.context());
  }
  state_->fill_with_noise(position);
  position_ = position;
}

}  // namespace dsv4
