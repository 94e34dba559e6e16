// The documented order of sampling (docs/sampling.md) in plain loops: a sort, doubles, the C library's functions. Shares no code with what it checks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "dsv4/sampler.h"

namespace dsv4::testing_support {

inline std::array<uint32_t, 4> plain_philox(std::array<uint64_t, 4> x, std::array<uint64_t, 2> key) {
  constexpr uint64_t kLow = 0xFFFFFFFF;
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53u * x[0], b = 0xCD9E8D57u * x[2];
    x = {(b >> 32) ^ x[1] ^ key[0], b & kLow, (a >> 32) ^ x[3] ^ key[1], a & kLow};
    key = {(key[0] + 0x9E3779B9u) & kLow, (key[1] + 0xBB67AE85u) & kLow};
  }
  return {static_cast<uint32_t>(x[0]), static_cast<uint32_t>(x[1]), static_cast<uint32_t>(x[2]), static_cast<uint32_t>(x[3])};
}

inline double plain_gumbel(uint64_t seed, uint64_t position, uint64_t token) {
  const uint64_t low = 0xFFFFFFFF;
  const auto words = [&](uint64_t first, uint64_t kind) {
    return plain_philox({first, position & low, position >> 32, kind}, {seed & low, seed >> 32});
  };
  const uint32_t word = words(token / 128 * 16 + token % 16, 0)[token % 128 / 32];
  const uint64_t coarse = token % 32 < 16 ? word % 65536 : word / 65536;
  const double u = (static_cast<double>(coarse) * 4294967296.0 + words(token, 1)[0] + 0.5) / 281474976710656.0;
  return -std::log(-std::log(u));
}

/// The token for a position after a prompt and a text; ids with `allowed` false may not be chosen.
inline int64_t plain_sample(const SamplerOptions& options, std::vector<float> logits, int64_t position,
                            const std::vector<int64_t>& prompt = {}, const std::vector<int64_t>& text = {},
                            const std::vector<bool>& allowed = {}) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < allowed.size(); ++i) {
    if (!allowed[i]) logits[i] = kNever;
  }
  for (const LogitBias& bias : options.logit_bias) logits[static_cast<size_t>(bias.token)] += static_cast<float>(bias.bias);
  std::map<int64_t, int> times;
  for (const int64_t token : prompt) times[token];
  for (const int64_t token : text) ++times[token];
  for (const auto& [token, count] : times) {
    float& logit = logits[static_cast<size_t>(token)];
    const auto repetition = static_cast<float>(options.repetition_penalty);
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count > 0) {
      logit -= static_cast<float>(options.frequency_penalty) * static_cast<float>(count);
      logit -= static_cast<float>(options.presence_penalty);
    }
  }
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit_of = [&](int64_t id) { return static_cast<double>(logits[static_cast<size_t>(id)]); };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logit_of(a) > logit_of(b); });
  if (options.temperature == 0.0) return order.front();

  std::vector<double> x;  // of the sorted ids
  for (const int64_t id : order) x.push_back((logit_of(id) - logit_of(order.front())) / options.temperature);
  size_t left = 0;
  while (left < x.size() && std::isfinite(logit_of(order[left])) && (options.min_p == 0.0 || x[left] >= std::log(options.min_p))) ++left;
  if (options.top_k > 0) left = std::min(left, static_cast<size_t>(options.top_k));
  double all = 0.0, before = 0.0;
  for (size_t i = 0; i < left; ++i) all += std::exp(x[i]);
  for (size_t i = 0; options.top_p < 1.0 && i < left; ++i) {
    if (before >= options.top_p * all) left = i;
    before += std::exp(x[i]);
  }
  int64_t best = -1;
  double most = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < left; ++i) {
    const double score = x[i] + plain_gumbel(options.seed, static_cast<uint64_t>(position), static_cast<uint64_t>(order[i]));
    if (score > most) {
      most = score;
      best = order[i];
    }
  }
  return best;
}

}  // namespace dsv4::testing_support
