// The generation loop.
#include "dsv4/request.h"

#include <chrono>

#include "dsv4/error.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/inner.h"

namespace dsv4 {

Generated generate(Session& session, const Request& request) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
  if (request.max_new_tokens < 0) fail("number of new tokens ", request.max_new_tokens, ": expected 0 or more");
  Sampler sampler(request.sampler);
  Generated out;

  Clock::time_point start = Clock::now();
  out.prompt_logits = session.feed(request.prompt, session.engine().prompt_chunk());
  out.prefill_seconds = seconds_since(start);
  if (request.max_new_tokens == 0) return out;

  const size_t vocab = static_cast<size_t>(session.engine().vocab_size());
  const std::vector<float>* logits = &out.prompt_logits;
  std::vector<float> step;
  start = Clock::now();
  while (true) {
    const int64_t token = in_file(Inner::model(session.engine()).folder, [&] { return sampler.sample(std::span(*logits).last(vocab)); });
    out.tokens.push_back(token);
    if (request.on_token) request.on_token(token);
    out.stopped_at_eos = !request.ignore_eos && session.engine().is_end(token);
    if (out.stopped_at_eos || static_cast<int64_t>(out.tokens.size()) == request.max_new_tokens) break;
    out.context_full = session.room() == 0;
    if (out.context_full) break;
    step = session.feed(std::span(&token, 1));
    logits = &step;
    ++out.decoded;
  }
  out.decode_seconds = seconds_since(start);
  return out;
}

}  // namespace dsv4
