// A long prompt beside texts that are being generated: the rate of both, and of each alone. Markdown on standard output.
// Usage: bench_scheduler MODEL [TEXTS [PROMPT_TOKENS [THREADS]]], 4, 2048 and 2 where they are not given.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "dsv4/scheduler.h"

namespace {

using namespace dsv4;

constexpr int64_t kWarmSteps = 8, kSteps = 40;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Job job(int64_t vocabulary, int64_t begin, int64_t length, int64_t count) {
  Job job;
  job.requests.emplace_back();
  Request& request = job.requests.front();
  for (int64_t i = 0; i < length; ++i) request.prompt.push_back((7 + 131 * (begin + i)) % vocabulary);
  request.max_new_tokens = count;
  request.ignore_eos = true;
  request.sampler.temperature = 1.0;
  request.sampler.seed = static_cast<uint64_t>(begin + 1);
  return job;
}

void run(const char* folder, int64_t texts, int64_t length, int threads) {
  EngineOptions options;
  options.threads = threads;
  options.weights = WeightMemory::kLoad;
  const Engine engine(folder, options);
  const int64_t vocabulary = engine.vocab_size();
  int64_t decoded = 0, fed = 0;
  SchedulerOptions scheduling;
  scheduling.parallel = texts + 1;
  scheduling.on_step = [&](const StepReport& step) {
    decoded += step.decoded;
    fed += step.prompt_tokens;
  };
  Scheduler scheduler(engine, scheduling);

  // Alone: twice, so that everything is in memory and compiled.
  double prompt_alone = 0.0;
  for (int turn = 0; turn < 2; ++turn) {
    scheduler.submit(job(vocabulary, 10000, length, 1));
    const double start = now();
    scheduler.run_until_idle();
    prompt_alone = now() - start;
  }
  std::vector<uint64_t> ids;
  for (int64_t i = 0; i < texts; ++i) ids.push_back(scheduler.submit(job(vocabulary, 100 * i, 16, 1 << 20)).front());
  while (decoded < kWarmSteps * texts) scheduler.step();
  decoded = 0;
  double start = now();
  for (int64_t i = 0; i < kSteps; ++i) scheduler.step();
  const double texts_alone = static_cast<double>(decoded) / (now() - start);

  Job prompt = job(vocabulary, 20000, length, 1);
  bool ended = false;
  prompt.on_end = [&](uint64_t, const Outcome&) { ended = true; };
  scheduler.submit(std::move(prompt));
  decoded = fed = 0;
  double longest = 0.0;
  start = now();
  while (!ended) {
    const double begin = now();
    scheduler.step();
    longest = std::max(longest, now() - begin);
  }
  const double seconds = now() - start;
  std::printf("| %s | %.3g | %.3g | %.3g | %.3g | %.3g |\n", folder, static_cast<double>(length) / prompt_alone,
              static_cast<double>(fed) / seconds, texts_alone, static_cast<double>(decoded) / seconds,
              longest * texts_alone / static_cast<double>(texts));
  for (const uint64_t id : ids) scheduler.cancel(id);
  scheduler.run_until_idle();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_scheduler MODEL [TEXTS [PROMPT_TOKENS [THREADS]]]\n");
    return 2;
  }
  const auto number = [&](int place, int64_t otherwise) { return argc > place ? std::atoll(argv[place]) : otherwise; };
  try {
    const int64_t texts = number(2, 4), length = number(3, 2048);
    std::printf("A prompt of %lld tokens, %lld texts.\n\n", static_cast<long long>(length), static_cast<long long>(texts));
    std::printf(
        "| folder | prompt tokens/s alone | beside the texts | text tokens/s alone | beside the prompt | longest step, in steps without a "
        "prompt |\n");
    std::printf("|---|---|---|---|---|---|\n");
    run(argv[1], texts, length, static_cast<int>(number(4, 2)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
