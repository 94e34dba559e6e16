// The sampler's order of filters over the loops of ops/sampling.
#include "dsv4/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "dsv4/error.h"
#include "ops/sampling/logits.h"

namespace dsv4 {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

[[noreturn]] void fail_for_nan(int64_t token) { fail("the logits hold NaN at token ", token, "; the model or its weights are broken"); }

ops::Largest largest_number(std::span<const float> logits) {
  const ops::Largest found = ops::largest(logits);
  if (found.nan >= 0) fail_for_nan(found.nan);
  return found;
}

void check_range(const char* what, double value, double low, double high) {
  if (!(value >= low && value <= high)) fail(what, " ", value, ": expected ", low, " to ", high);
}

/// Of every byte of a mask, all bits of which of its eight ids: a table is several times as fast as shifting bits out.
using EightIds = std::array<uint32_t, 8>;
constexpr std::array<EightIds, 256> kAllowed = [] {
  std::array<EightIds, 256> table = {};
  for (size_t byte = 0; byte < table.size(); ++byte) {
    for (size_t bit = 0; bit < 8; ++bit) table[byte][bit] = (byte >> bit) & 1 ? ~uint32_t{0} : 0;
  }
  return table;
}();

/// Logits of ids that are not allowed become -infinity.
void forbid_others(uint32_t allowed, std::span<float> logits) {
  constexpr auto kNever = std::bit_cast<uint32_t>(-kInfinity);
  for (size_t begin = 0; begin + 8 <= logits.size(); begin += 8, allowed >>= 8) {
    const EightIds& ids = kAllowed[allowed & 0xFF];
    EightIds bits;
    std::memcpy(bits.data(), logits.data() + begin, sizeof bits);
    for (size_t i = 0; i < 8; ++i) bits[i] = (bits[i] & ids[i]) | (kNever & ~ids[i]);
    std::memcpy(logits.data() + begin, bits.data(), sizeof bits);
  }
  for (size_t i = logits.size() / 8 * 8; i < logits.size(); ++i, allowed >>= 1) {
    if ((allowed & 1) == 0) logits[i] = -kInfinity;
  }
}

/// The narrower of two bounds.
ops::Bound both(const ops::Bound& a, const ops::Bound& b) {
  if (a.least != b.least) return a.least > b.least ? a : b;
  return {a.least, std::min(a.last, b.last)};
}

/// Tokens with weights exp((l - max) / T) of at least `share`.
ops::Bound min_p_bound(double share, const ops::Weighting& weighting) {
  const double least = weighting.max + weighting.temperature * ops::natural_log(share);
  if (!(least > std::numeric_limits<float>::lowest())) return {};
  const auto nearest = static_cast<float>(least);
  return {nearest < least ? std::nextafter(nearest, kInfinity) : nearest};
}

ops::Bound top_k_bound(int64_t count, std::span<const float> logits) {
  const int64_t last = ops::top_ids(logits, count).back();
  const float least = logits[static_cast<size_t>(last)];
  return least == -kInfinity ? ops::Bound() : ops::Bound{least, last};
}

}  // namespace

int64_t argmax(std::span<const float> values) { return std::max<int64_t>(largest_number(values).id, 0); }

Sampler::Sampler(SamplerOptions options) : options_(std::move(options)) {
  if (!(options_.temperature >= 0.0) || !std::isfinite(options_.temperature))
    fail("temperature ", options_.temperature, ": expected 0 or more");
  if (!(options_.top_p > 0.0 && options_.top_p <= 1.0)) fail("top-p ", options_.top_p, ": expected more than 0 and at most 1");
  if (options_.top_k < 0) fail("top-k ", options_.top_k, ": expected 0 or more");
  check_range("min-p", options_.min_p, 0.0, 1.0);
  if (!(options_.repetition_penalty > 0.0) || !std::isfinite(options_.repetition_penalty))
    fail("repetition penalty ", options_.repetition_penalty, ": expected more than 0");
  check_range("presence penalty", options_.presence_penalty, -2.0, 2.0);
  check_range("frequency penalty", options_.frequency_penalty, -2.0, 2.0);
  for (const LogitBias& bias : options_.logit_bias) {
    if (bias.token < 0) fail("logit bias of token ", bias.token, ": expected an id of 0 or more");
    check_range("logit bias", bias.bias, -100.0, 100.0);
  }
}

bool Sampler::penalises() const {
  return options_.repetition_penalty != 1.0 || options_.presence_penalty != 0.0 || options_.frequency_penalty != 0.0;
}

void Sampler::see_prompt(std::span<const int64_t> tokens) {
  if (options_.repetition_penalty == 1.0) return;
  for (const int64_t token : tokens) seen_[token].in_prompt = true;
}

void Sampler::accept(int64_t token) {
  if (penalises()) ++seen_[token].in_text;
}

float Sampler::penalised(float logit, const Seen& seen) const {
  const auto factor = static_cast<float>(options_.repetition_penalty);
  logit = logit > 0.0f ? logit / factor : logit * factor;
  if (seen.in_text == 0) return logit;
  logit -= static_cast<float>(options_.frequency_penalty) * static_cast<float>(seen.in_text);
  return logit - static_cast<float>(options_.presence_penalty);
}

std::span<const float> Sampler::adjusted(std::span<const float> logits, AllowedIds allowed) {
  const size_t words = (logits.size() + 31) / 32;
  if (!allowed.empty() && allowed.size() != words)
    fail("allowed ids in ", allowed.size(), " words of 32: expected ", words, " for ", logits.size(), " logits");
  if (allowed.empty() && options_.logit_bias.empty() && seen_.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (size_t w = 0; w < allowed.size(); ++w) {
    const auto of_word = std::span(adjusted_).subspan(w * 32, std::min<size_t>(32, logits.size() - w * 32));
    if (allowed[w] == 0) {
      std::fill(of_word.begin(), of_word.end(), -kInfinity);
    } else if (~allowed[w] != 0) {
      forbid_others(allowed[w], of_word);
    }
  }
  for (const LogitBias& bias : options_.logit_bias) {
    if (bias.token >= std::ssize(logits)) fail("logit bias of token ", bias.token, ": the vocabulary has ", logits.size(), " tokens");
    adjusted_[static_cast<size_t>(bias.token)] += static_cast<float>(bias.bias);
  }
  for (const auto& [token, seen] : seen_) {
    if (token < 0 || token >= std::ssize(logits)) continue;
    float& logit = adjusted_[static_cast<size_t>(token)];
    if (std::isfinite(logit)) logit = penalised(logit, seen);
  }
  return adjusted_;
}

int64_t Sampler::sample(std::span<const float> all_logits, int64_t position, AllowedIds allowed) {
  const std::span<const float> logits = adjusted(all_logits, allowed);
  const ops::Largest largest = largest_number(logits);
  if (largest.value == -kInfinity) {
    fail(allowed.empty() ? "the logits of all tokens are -infinity; the model or its weights are broken"
                         : "no token can be chosen: those that are allowed have logits of -infinity, or there are none");
  }
  if (options_.temperature == 0.0 || largest.value == kInfinity) return largest.id;

  const ops::Weighting weighting = {largest.value, options_.temperature};
  const ops::Noise noise = {options_.seed, static_cast<uint64_t>(position)};
  ops::Bound bound;
  if (options_.min_p > 0.0) bound = both(bound, min_p_bound(options_.min_p, weighting));
  if (options_.top_k > 0 && options_.top_k < std::ssize(logits)) bound = both(bound, top_k_bound(options_.top_k, logits));
  int64_t id = ops::draw(logits, weighting, bound, noise, largest.id);
  if (options_.top_p == 1.0) return id;

  // The nucleus is what lies before a place in the order of probability. The winner of all is its winner too if it lies in it, which the mass before the winner
  // tells. If not, nor does anything behind the winner, and the next race is between the rest: some 1 + log(1 / top_p) races on the average. The mass of all is
  // added up only where the part of it that is known does not decide.
  std::optional<uint64_t> all;
  while (true) {
    const ops::Bound before = {logits[static_cast<size_t>(id)], id - 1};
    const uint64_t mass_before = ops::mass(logits, weighting, before);
    const auto in_nucleus = [&](uint64_t total) { return static_cast<double>(mass_before) < options_.top_p * static_cast<double>(total); };
    if (in_nucleus(mass_before + ops::mass(logits.subspan(static_cast<size_t>(id), 1), weighting, {}))) return id;
    if (!all) all = ops::mass(logits, weighting, bound);
    if (in_nucleus(*all)) return id;
    id = ops::draw(logits, weighting, before, noise, largest.id);
  }
}

Logprobs logprobs(std::span<const float> logits, int64_t token, int64_t count) {
  if (token < 0 || token >= std::ssize(logits)) fail("log-probability of token ", token, ": there are ", logits.size(), " logits");
  if (count < 0 || count > kMostLogprobs) fail("log-probabilities of ", count, " tokens: expected 0 to ", kMostLogprobs);
  const ops::Largest largest = largest_number(logits);
  if (!std::isfinite(largest.value)) fail("the largest logit is ", largest.value, "; the model or its weights are broken");
  const double sum = ops::kMassUnit * static_cast<double>(ops::mass(logits, {largest.value, 1.0}, {}));
  const double log_sum = ops::natural_log(sum) + static_cast<double>(largest.value);
  const auto of = [&](int64_t id) { return TokenLogprob{id, static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum}; };
  Logprobs found = {of(token), {}};
  for (const int64_t id : ops::top_ids(logits, count)) {
    if (logits[static_cast<size_t>(id)] > -kInfinity) found.top.push_back(of(id));
  }
  return found;
}

}  // namespace dsv4
