// Engine::step: checks before anything is changed, then one inference.
#include "dsv4/step.h"

#include <algorithm>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_model.h"
#include "runtime/session_state.h"

namespace dsv4 {

std::vector<std::vector<float>> Engine::step(std::span<const Step> steps) const {
  const std::string folder = path_text(model_->folder);
  if (steps.empty()) fail(folder, ": a step without parts; expected at least one");
  std::vector<const Session*> sessions;
  for (const Step& step : steps) {
    const Session& session = step.session;
    if (session.engine_.model_ != model_) fail(folder, ": a step with a session of another engine; a step is of one");
    session.check_state();
    check_tokens(step.tokens, vocab_size(), "input");
    session.check_room(step.tokens);
    const bool last_only = program() == Program::kPortable && !options().all_logits;
    if (last_only && step.logits == StepLogits::kAll && step.tokens.size() > 1)
      fail(folder, ": a step with all logits; the portable program gives those of the last token here: open it with all_logits");
    sessions.push_back(&session);
  }
  std::sort(sessions.begin(), sessions.end());
  if (std::adjacent_find(sessions.begin(), sessions.end()) != sessions.end())
    fail(folder, ": a step with a session twice; feed its tokens as one part");

  std::vector<std::vector<float>> logits(steps.size());
  std::vector<Session::Part> parts;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const int64_t rows = step.logits == StepLogits::kNone ? 0 : step.logits == StepLogits::kLast ? 1 : std::ssize(step.tokens);
    parts.push_back({step.session, step.tokens, rows, logits[i]});
  }
  Session::infer(parts);
  return logits;
}

}  // namespace dsv4
