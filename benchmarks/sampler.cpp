// Time of choosing one token from 129,280 logits: greedy, sampled with each filter, and what a sort of them takes.
// One JSON object a line on standard output: median of the processor's milliseconds, one thread. Usage: bench_sampler [REPEATS [INSTRUCTION_SET]], e.g. 200 AVX2.
//
// "trained" logits have the shape of those of models/mini after "G" (entropy 2.0 nats): its 128 most likely ones as they are, the others 126 times over and
// lower by log(126), so that together they are as likely as there; in random order. "flat" ones are normal with deviation 0.1, "equal" ones all the same.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "dsv4/sampler.h"
#include "processor_time.h"
#include "runtime/measure.h"

namespace {

using dsv4::Sampler;
using dsv4::SamplerOptions;

constexpr size_t kVocabulary = 129280;

std::vector<float> trained_logits() {
  // Rank of 1,024 and logit below the largest.
  const std::vector<std::pair<double, double>> shape = {{0, 0.0},      {1, -1.76},    {2, -3.78},   {3, -3.89},    {7, -4.61},
                                                        {15, -5.51},   {31, -6.17},   {63, -6.90},  {127, -7.62},  {256, -8.62},
                                                        {512, -10.01}, {768, -11.51}, {922, -19.5}, {1013, -19.7}, {1024, -20.07}};
  std::vector<float> logits;
  size_t next = 1;
  for (size_t i = 0; i < kVocabulary; ++i) {
    const double rank =
        i < 128 ? static_cast<double>(i) : 128.0 + static_cast<double>(i - 128) * 896.0 / static_cast<double>(kVocabulary - 128);
    while (next + 1 < shape.size() && shape[next].first < rank) ++next;
    const auto [rank0, logit0] = shape[next - 1];
    const auto [rank1, logit1] = shape[next];
    const double logit = logit0 + (logit1 - logit0) * (rank - rank0) / (rank1 - rank0);
    logits.push_back(static_cast<float>(9.29 + logit - (i < 128 ? 0.0 : std::log(126.0))));
  }
  std::shuffle(logits.begin(), logits.end(), std::mt19937(1));
  return logits;
}

std::vector<float> flat_logits() {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

void measure(const std::string& isa, const char* logits, const std::string& what, int repeats, const std::function<void(int64_t)>& work) {
  std::vector<double> times;
  for (int64_t i = -3; i < repeats; ++i) {
    const double before = processor_microseconds();
    work(i + 3);
    if (i >= 0) times.push_back(1e-3 * (processor_microseconds() - before));
  }
  std::printf("{\"isa\": \"%s\", \"logits\": \"%s\", \"what\": \"%s\", \"ms\": %.4f}\n", isa.c_str(), logits, what.c_str(),
              dsv4::median(times));
  std::fflush(stdout);
}

int64_t g_sum = 0;  // of what was chosen, so that nothing is left out

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 200;
  if (repeats < 1) {
    std::fprintf(stderr, "usage: bench_sampler [REPEATS [INSTRUCTION_SET]]\n");
    return 2;
  }
  std::string isa = "best";
  if (argc > 2) {
    for (const auto target : hwy::SupportedAndGeneratedTargets()) {
      if (argv[2] != std::string(hwy::TargetName(target))) continue;
      isa = argv[2];
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().DeInit();
    }
    if (isa == "best") {
      std::fprintf(stderr, "bench_sampler: this processor has no instruction set %s\n", argv[2]);
      return 2;
    }
  }
  std::vector<uint32_t> allowed((kVocabulary + 31) / 32, 0);
  for (size_t id = 0; id < kVocabulary; id += 3) allowed[id / 32] |= 1u << (id % 32);
  SamplerOptions penalties = {.temperature = 1.0, .repetition_penalty = 1.1, .presence_penalty = 0.5, .frequency_penalty = 0.2};
  for (int64_t id = 0; id < 300; ++id) penalties.logit_bias.push_back({id * 7, 1.0});
  const std::vector<std::pair<std::string, SamplerOptions>> kinds = {
      {"greedy", {}},
      {"temperature 1", {.temperature = 1.0}},
      {"temperature 1, top-p 0.95", {.temperature = 1.0, .top_p = 0.95}},
      {"temperature 1, top-p 0.1", {.temperature = 1.0, .top_p = 0.1}},
      {"temperature 1, min-p 0.05", {.temperature = 1.0, .min_p = 0.05}},
      {"temperature 0.7, top-k 50, top-p 0.95", {.temperature = 0.7, .top_p = 0.95, .top_k = 50}},
      {"temperature 1, penalties and bias", penalties},
  };
  for (const auto& [name, logits] :
       {std::pair{"trained", trained_logits()}, {"flat", flat_logits()}, {"equal", std::vector<float>(kVocabulary, 1.5f)}}) {
    for (const auto& [what, options] : kinds) {
      Sampler sampler(options);
      for (int64_t token = 0; token < 1000; ++token) sampler.accept(token * 31);
      measure(isa, name, what, repeats, [&](int64_t i) { g_sum += sampler.sample(logits, i); });
    }
    Sampler sampler({.temperature = 1.0});
    measure(isa, name, "temperature 1, every third id allowed", repeats, [&](int64_t i) { g_sum += sampler.sample(logits, i, allowed); });
    measure(isa, name, "log-probabilities of 20", repeats, [&](int64_t i) { g_sum += dsv4::logprobs(logits, i, 20).top[0].token; });
    measure(isa, name, "a sort of all ids", std::min(repeats, 20), [&](int64_t) {
      std::vector<int32_t> ids(kVocabulary);
      std::iota(ids.begin(), ids.end(), 0);
      std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
        const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
        return x != y ? x > y : a < b;
      });
      g_sum += ids[0];
    });
  }
  std::fprintf(stderr, "bench_sampler: sum of what was chosen: %ld\n", static_cast<long>(g_sum));
  return 0;
}
