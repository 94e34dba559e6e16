// A request: a prompt, how the text is to go on from it and where it ends; and what came of it.
//
// A Request owns its prompt and knows no session: the same one may be given to several, one after another. generate() answers it on a
// session (dsv4/session.h), which then stands behind the last token that was fed, so that the next request goes on from there. Several at a
// time: Scheduler (dsv4/scheduler.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dsv4/sampler.h"
#include "dsv4/session.h"

namespace dsv4 {

struct Request {
  std::vector<int64_t> prompt = {};                  ///< token ids, at least one; fed once
  std::vector<int64_t> before = {};                  ///< tokens of the sequence before it, which the repetition penalty counts too
  int64_t max_new_tokens = 32;                       ///< 0: the prompt alone
  bool ignore_eos = false;                           ///< go on after an end-of-sequence token
  SamplerOptions sampler = {};                       ///< how each token is chosen
  std::vector<int64_t> stop_tokens = {};             ///< each ends the text as an EOS token does, also with ignore_eos
  std::optional<int64_t> logprobs = {};              ///< log-probabilities of each new token and of so many most likely ones
  std::function<void(int64_t token)> on_token = {};  ///< as each is chosen; may be empty
  /// Where log-probabilities are asked for: those of each token, before on_token. May be empty.
  std::function<void(const Logprobs&)> on_logprobs = {};
  /// Asked after on_token: whether the text ends with this token, as it does after a stop string. May be empty.
  std::function<bool(int64_t token)> ends_after = {};
  /// Asked before each choice, with the new tokens so far: the ids that may come next. May be empty. What it returns has to stay until the next call.
  std::function<AllowedIds(std::span<const int64_t> tokens)> allowed = {};
};

struct Generated {
  std::vector<int64_t> tokens;       ///< new ones; ends with an EOS token if it stopped there
  std::vector<float> prompt_logits;  ///< what feed returned for the prompt
  std::vector<Logprobs> logprobs;    ///< of each of them, if they were asked for
  bool stopped_at_eos = false;
  bool stopped = false;          ///< by a stop token or by Request::ends_after
  bool context_full = false;     ///< it ended because the sequence has no room for another token (Session::room)
  double prefill_seconds = 0.0;  ///< the prompt, up to its logits
  double decode_seconds = 0.0;   ///< the inferences after it
  int64_t decoded = 0;           ///< how many those were
};

/// What ended it, in the words that APIs have for it: "stop" (an EOS token, a stop token, Request::ends_after), else "length".
const char* finish_reason(const Generated& generated);

/// Goes on from the session's position, up to max_new_tokens, an EOS token, or the most tokens that the sequence can have. The last token
/// is not fed. A token's noise is that of its position in the sequence, so a text is the same when it is fed in several requests. Penalties
/// count this request's prompt and its new tokens. Error as Session::feed, Sampler and logprobs() throw it, and for a negative number of tokens.
Generated generate(Session& session, const Request& request);

}  // namespace dsv4
