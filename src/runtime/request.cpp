// The generation loop of one session.
#include "dsv4/request.h"

#include <chrono>

#include "runtime/continuation.h"

namespace dsv4 {

const char* finish_reason(const Generated& generated) { return generated.stopped_at_eos || generated.stopped ? "stop" : "length"; }

Generated generate(Session& session, const Request& request) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
  Continuation text(session.engine(), request, request.prompt);
  Generated& out = text.generated();

  Clock::time_point start = Clock::now();
  out.prompt_logits = session.feed(request.prompt, session.engine().prompt_chunk());
  out.prefill_seconds = seconds_since(start);
  if (request.max_new_tokens == 0) return out;

  const size_t vocab = static_cast<size_t>(session.engine().vocab_size());
  std::vector<float> step;
  start = Clock::now();
  for (std::span<const float> logits = out.prompt_logits; text.choose(logits.last(vocab), session); logits = step) {
    const int64_t token = text.last();
    step = session.feed(std::span(&token, 1));
    ++out.decoded;
  }
  out.decode_seconds = seconds_since(start);
  return std::move(out);
}

}  // namespace dsv4
