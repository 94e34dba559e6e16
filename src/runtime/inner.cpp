// Access to what engines and sessions hold.
#include "runtime/inner.h"

#include <algorithm>

#include "dsv4/error.h"
#include "runtime/engine_model.h"
#include "runtime/history.h"
#include "runtime/session_state.h"

namespace dsv4 {

const Engine::Model& Inner::model(const Engine& engine) { return *engine.model_; }

const Config& Inner::config(const Engine& engine) { return engine.model_->config; }

void Inner::fill_with_noise(Session& session, int64_t position) {
  session.check_state();
  const int64_t limit = session.engine_.context();
  if (position < 0 || (limit > 0 && position > limit)) fail("position ", position, ": expected 0 to ", limit);
  session.state_->fill_with_noise(position);
  session.history_->begin(position);
  session.set_position(position, std::min(position, Session::kMostRewind));
}

}  // namespace dsv4
