// A prompt is fed in parts, between which its state is kept; behind the last one its texts begin.
#include "server/generation.h"

#include <algorithm>
#include <utility>

#include "dsv4/error.h"

namespace dsv4 {

namespace {

/// Pieces of a prompt end at multiples of this many positions (docs/cpu-program.md), so a prompt that is cut there gives the same bits as one that is not.
constexpr int64_t kPiece = 32;
constexpr int64_t kLongPart = 4096;  // a long prompt is kept this often

}  // namespace

void Generation::start(const std::function<void(int64_t cached)>& known) {
  std::optional<Session> session = store_.find(plan_.prompt);
  fed_ = session ? session->position() : 0;
  metrics_.prompt_tokens += prompt_tokens();
  metrics_.cached_tokens += fed_;
  known(fed_);
  submit_next(std::move(session));
}

/// Where the next part of the prompt ends.
int64_t Generation::next_stop(int64_t position) const {
  const int64_t end = std::ssize(plan_.prompt);
  int64_t stop = end;
  for (const int64_t turn : plan_.turns) {
    const int64_t cut = std::min(turn, end - 1) / kPiece * kPiece;
    if (cut > position) stop = std::min(stop, cut);
  }
  const int64_t part = (position / kLongPart + 1) * kLongPart;
  return !plan_.turns.empty() && part < end - kPiece ? std::min(stop, part) : stop;
}

void Generation::submit_next(std::optional<Session> session) {
  const int64_t stop = next_stop(fed_);
  std::vector<int64_t> part(plan_.prompt.begin() + fed_, plan_.prompt.begin() + stop);
  const bool last = stop == std::ssize(plan_.prompt);
  const int64_t begin = std::exchange(fed_, stop);
  Job job;
  job.session = std::move(session);
  job.keep_session = true;
  // What is fed in parts has had its turn to wait.
  job.priority = job.session ? 1 : 0;
  const auto self = shared_from_this();
  if (!last) {
    Request request;
    request.prompt = std::move(part);
    request.max_new_tokens = 0;
    job.requests.push_back(std::move(request));
    job.on_end = [self](uint64_t, Outcome outcome) { self->beginning_done(std::move(outcome)); };
  } else {
    for (size_t text = 0; text < plan_.requests.size(); ++text) {
      job.requests.push_back(text_request(text, begin, text == 0 ? std::move(part) : std::vector<int64_t>()));
    }
    job.on_end = [self](uint64_t id, Outcome outcome) { self->text_done(id, std::move(outcome)); };
  }
  const std::lock_guard lock(mutex_);
  ids_ = scheduler_.submit(std::move(job));
  if (cancelled_) {
    for (const uint64_t id : ids_) scheduler_.cancel(id);
  }
}

Request Generation::text_request(size_t text, int64_t begin, std::vector<int64_t> rest) {
  Request request = plan_.requests[text];
  request.before.assign(plan_.prompt.begin(), plan_.prompt.begin() + begin);
  request.prompt = std::move(rest);
  const auto self = shared_from_this();
  if (request.logprobs) {
    request.on_logprobs = [self, text](const Logprobs& logprobs) { self->plan_.on_token(text, logprobs.chosen.token, &logprobs); };
  } else {
    request.on_token = [self, text](int64_t token) { self->plan_.on_token(text, token, nullptr); };
  }
  request.ends_after = [self, text](int64_t) { return self->plan_.ends_after(text); };
  return request;
}

void Generation::beginning_done(Outcome outcome) {
  metrics_.add_seconds(outcome.generated.prefill_seconds, 0);
  if (outcome.end == End::kCancelled) {
    metrics_.cancelled += 1;
    return;
  }
  try {
    if (outcome.end == End::kFailed) fail(outcome.error);
    if (outcome.session) store_.keep(*outcome.session, std::span(plan_.prompt).first(static_cast<size_t>(outcome.session->position())));
    submit_next(std::move(outcome.session));
  } catch (const std::exception& error) {
    plan_.on_failure(error);
  }
}

void Generation::text_done(uint64_t id, Outcome outcome) {
  size_t text = 0;
  {
    const std::lock_guard lock(mutex_);
    text = static_cast<size_t>(std::find(ids_.begin(), ids_.end(), id) - ids_.begin());
  }
  metrics_.generated_tokens += std::ssize(outcome.generated.tokens);
  metrics_.add_seconds(text == 0 ? outcome.generated.prefill_seconds : 0, outcome.generated.decode_seconds);
  if (outcome.end == End::kFailed) {
    plan_.on_failure(Error(outcome.error));
    return cancel();
  }
  if (outcome.end == End::kCancelled) {
    metrics_.cancelled += 1;
  } else {
    plan_.on_finish(text, outcome.generated);
  }
  if (!outcome.session) return;
  std::vector<int64_t> tokens = plan_.prompt;
  tokens.insert(tokens.end(), outcome.generated.tokens.begin(), outcome.generated.tokens.end());
  store_.keep(*outcome.session, std::span(tokens).first(static_cast<size_t>(outcome.session->position())));
}

void Generation::for_each_id(void (Scheduler::*what)(uint64_t)) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids_) (scheduler_.*what)(id);
}

void Generation::cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  for_each_id(&Scheduler::cancel);
}

void Generation::pause() { for_each_id(&Scheduler::pause); }
void Generation::resume() { for_each_id(&Scheduler::resume); }

}  // namespace dsv4
