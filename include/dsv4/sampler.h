// Choosing the next token from logits: greedy, or at a temperature with filters, penalties and a bias; and the log-probabilities of tokens.
//
// What a token is chosen by depends on the logits, the options, the tokens so far where there are penalties, and noise that (seed, position,
// token) decide: not on what was sampled before, nor on the machine. A Sampler owns the counts of penalties, one for every text; a copy
// goes on from there. generate() (dsv4/request.h) makes its own.
//
// The order is vLLM's: ids that are allowed; bias; repetition, frequency and presence penalty; temperature; min-p; top-k; top-p. Each filter
// looks at the probabilities that the one before has left.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace dsv4 {

struct LogitBias {
  int64_t token = 0;
  double bias = 0.0;  ///< in [-100, 100]; added to the logit
};

struct SamplerOptions {
  double temperature = 0.0;         ///< 0: greedy
  double top_p = 1.0;               ///< in (0, 1]: the fewest most likely tokens that together have this probability
  int64_t top_k = 0;                ///< so many most likely tokens; 0: all
  double min_p = 0.0;               ///< in [0, 1]: tokens at least this much as likely as the most likely one
  uint64_t seed = 0;                ///< of the noise
  double repetition_penalty = 1.0;  ///< above 0: logits of tokens of the prompt and the text are divided by it, negative ones multiplied
  double presence_penalty = 0.0;    ///< in [-2, 2]: taken from the logits of tokens of the text
  double frequency_penalty = 0.0;   ///< in [-2, 2]: the same, for each time that they are there
  std::vector<LogitBias> logit_bias = {};
};

/// Which ids may be chosen, such as a grammar leaves them: bit i % 32 of word i / 32 is set for id i. Empty: all of them.
using AllowedIds = std::span<const uint32_t>;

class Sampler {
 public:
  /// Error for options out of range.
  explicit Sampler(SamplerOptions options);

  /// Tokens before the text, which the repetition penalty counts.
  void see_prompt(std::span<const int64_t> tokens);
  /// A token with which the text went on: chosen here, or not.
  void accept(int64_t token);

  /// The id of a token for `position` of the sequence, from its logits. Of equal logits greedy takes the lowest id, and filters keep lower
  /// ids first. A logit of +infinity is taken at any temperature. Error for NaN, for logits that leave no id (all are -infinity or not
  /// allowed), for a bias of an id that is not there and for `allowed` of another size than the logits.
  int64_t sample(std::span<const float> logits, int64_t position, AllowedIds allowed = {});

 private:
  struct Seen {
    bool in_prompt = false;
    int64_t in_text = 0;
  };

  bool penalises() const;
  std::span<const float> adjusted(std::span<const float> logits, AllowedIds allowed);
  float penalised(float logit, const Seen& seen) const;

  SamplerOptions options_;
  std::unordered_map<int64_t, Seen> seen_;  // empty where no penalty asks for it
  std::vector<float> adjusted_;
};

struct TokenLogprob {
  int64_t token = 0;
  double logprob = 0.0;
};

struct Logprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  ///< the most likely first; none of probability 0
};

constexpr int64_t kMostLogprobs = 20;

/// Log-probabilities of the model's own distribution, at temperature 1 and before every option above: of `token` and of the `count` most
/// likely ones, at most kMostLogprobs. Error for NaN, and for logits that are all -infinity.
Logprobs logprobs(std::span<const float> logits, int64_t token, int64_t count);

/// Index of the largest value, the lowest of equal ones. Error for NaN.
int64_t argmax(std::span<const float> values);

}  // namespace dsv4
