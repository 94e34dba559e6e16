// Likelihood in windows, a chunk of logits at a time.
#include "runtime/likelihood.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "runtime/check_tokens.h"
#include "runtime/engine_model.h"
#include "runtime/inner.h"

namespace dsv4 {

double Likelihood::perplexity() const { return std::exp(per_token()); }

double negative_log_probability(std::span<const float> logits, int64_t token) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float value : logits) sum += std::exp(value - top);
  return std::log(sum) + (top - logits[static_cast<size_t>(token)]);
}

Likelihood likelihood(const Engine& engine, std::span<const int64_t> tokens, const LikelihoodOptions& options) {
  if (tokens.size() < 2) fail("likelihood: ", tokens.size(), " tokens; expected at least two, because the first is not predicted");
  if (options.context < 0 || options.chunk < 1)
    fail("likelihood: context ", options.context, ", chunk ", options.chunk, "; expected 0 or more, 1 or more");
  if (!engine.options().all_logits) fail("likelihood: the engine returns the logits of the last position only; open it with all_logits");
  check_tokens(tokens, Inner::config(engine).vocab_size, "likelihood");

  const auto vocab = static_cast<size_t>(Inner::config(engine).vocab_size);
  const size_t last = tokens.size() - 1;  // the last token is predicted, never fed
  const size_t context = options.context == 0 ? last : static_cast<size_t>(options.context);
  const int64_t limit = Inner::config(engine).max_position_embeddings;
  if (limit > 0 && std::min(context, last) > static_cast<size_t>(limit)) {
    fail(path_text(Inner::model(engine).folder), ": windows of ", std::min(context, last), " tokens; the model was made for ", limit,
         "; give a smaller context");
  }
  const int64_t fixed = engine.static_length();
  if (fixed > 0 && context != static_cast<size_t>(fixed)) {
    fail(path_text(Inner::model(engine).folder), ": windows of ", context, " tokens; the model was made for exactly ", fixed,
         " (--static-shape); give that as the context");
  }
  Session session(engine);
  Likelihood result;
  for (size_t begin = 0; begin < last; begin += context) {
    const size_t end = std::min(begin + context, last);
    session.reset();
    ++result.windows;
    const size_t chunk = engine.stateful() ? static_cast<size_t>(options.chunk) : context;
    for (size_t first = begin; first < end; first += chunk) {
      const size_t count = std::min(chunk, end - first);
      std::vector<int64_t> fed(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                               tokens.begin() + static_cast<std::ptrdiff_t>(first + count));
      if (fixed > 0) fed.resize(static_cast<size_t>(fixed), fed.back());  // no position sees what follows it
      const std::vector<float> logits = session.feed(fed, static_cast<int64_t>(fed.size()));
      for (size_t i = 0; i < count; ++i) {
        const double nats = negative_log_probability(std::span(logits).subspan(i * vocab, vocab), tokens[first + i + 1]);
        if (!std::isfinite(nats))
          fail(path_text(Inner::model(engine).folder), ": the logits after token ", first + i,
               " are not finite; the model or its weights are broken");
        result.negative_log += nats;
        ++result.predicted;
      }
    }
  }
  return result;
}

}  // namespace dsv4
