// The generation loop.
#include "dsv4/request.h"

#include <algorithm>
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
  if (request.logprobs && (*request.logprobs < 0 || *request.logprobs > kMostLogprobs))
    fail("log-probabilities of ", *request.logprobs, " tokens: expected 0 to ", kMostLogprobs);
  const size_t vocab = static_cast<size_t>(session.engine().vocab_size());
  for (const LogitBias& bias : request.sampler.logit_bias) {
    if (bias.token >= session.engine().vocab_size()) fail("logit bias of token ", bias.token, ": the vocabulary has ", vocab, " tokens");
  }
  Sampler sampler(request.sampler);
  sampler.see_prompt(request.before);
  sampler.see_prompt(request.prompt);
  Generated out;

  Clock::time_point start = Clock::now();
  out.prompt_logits = session.feed(request.prompt, session.engine().prompt_chunk());
  out.prefill_seconds = seconds_since(start);
  if (request.max_new_tokens == 0) return out;

  const std::vector<float>* logits = &out.prompt_logits;
  std::vector<float> step;
  start = Clock::now();
  while (true) {
    const auto row = std::span(*logits).last(vocab);
    const AllowedIds allowed = request.allowed ? request.allowed(out.tokens) : AllowedIds();
    const int64_t token = in_file(Inner::model(session.engine()).folder, [&] {
      const int64_t chosen = sampler.sample(row, session.position(), allowed);
      if (request.logprobs) out.logprobs.push_back(logprobs(row, chosen, *request.logprobs));
      return chosen;
    });
    sampler.accept(token);
    out.tokens.push_back(token);
    if (request.on_token) request.on_token(token);
    out.stopped_at_eos = !request.ignore_eos && session.engine().is_end(token);
    out.stopped = std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) != request.stop_tokens.end();
    if (request.ends_after && request.ends_after(token)) out.stopped = true;
    if (out.stopped_at_eos || out.stopped || static_cast<int64_t>(out.tokens.size()) == request.max_new_tokens) break;
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
