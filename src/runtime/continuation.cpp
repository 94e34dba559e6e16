// Choosing, counting, ending.
#include "runtime/continuation.h"

#include <algorithm>

#include "dsv4/error.h"
#include "runtime/engine_model.h"
#include "runtime/errors.h"
#include "runtime/inner.h"

namespace dsv4 {

void check_request(const Engine& engine, const Request& request) {
  if (request.max_new_tokens < 0) fail("number of new tokens ", request.max_new_tokens, ": expected 0 or more");
  if (request.logprobs && (*request.logprobs < 0 || *request.logprobs > kMostLogprobs))
    fail("log-probabilities of ", *request.logprobs, " tokens: expected 0 to ", kMostLogprobs);
  for (const LogitBias& bias : request.sampler.logit_bias) {
    if (bias.token >= engine.vocab_size())
      fail("logit bias of token ", bias.token, ": the vocabulary has ", engine.vocab_size(), " tokens");
  }
  const Sampler checked(request.sampler);
}

Continuation::Continuation(const Engine& engine, const Request& request, std::span<const int64_t> prompt)
    : request_(request), sampler_((check_request(engine, request), request.sampler)) {
  sampler_.see_prompt(request.before);
  sampler_.see_prompt(prompt);
}

bool Continuation::choose(std::span<const float> logits, const Session& session) {
  const Engine& engine = session.engine();
  const AllowedIds allowed = request_.allowed ? request_.allowed(generated_.tokens) : AllowedIds();
  const int64_t token = in_file(Inner::model(engine).folder, [&] {
    const int64_t chosen = sampler_.sample(logits, session.position(), allowed);
    if (request_.logprobs) generated_.logprobs.push_back(logprobs(logits, chosen, *request_.logprobs));
    return chosen;
  });
  sampler_.accept(token);
  generated_.tokens.push_back(token);
  if (request_.logprobs && request_.on_logprobs) request_.on_logprobs(generated_.logprobs.back());
  if (request_.on_token) request_.on_token(token);
  generated_.stopped_at_eos = !request_.ignore_eos && engine.is_end(token);
  generated_.stopped = std::find(request_.stop_tokens.begin(), request_.stop_tokens.end(), token) != request_.stop_tokens.end();
  if (request_.ends_after && request_.ends_after(token)) generated_.stopped = true;
  if (generated_.stopped_at_eos || generated_.stopped || std::ssize(generated_.tokens) == request_.max_new_tokens) return false;
  generated_.context_full = session.room() == 0;
  return !generated_.context_full;
}

}  // namespace dsv4
