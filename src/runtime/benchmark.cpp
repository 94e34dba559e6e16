// Timing prefill and decode.
#include "runtime/benchmark.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <optional>
#include <random>
#include <span>

#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "dsv4/sampler.h"
#include "dsv4/session.h"
#include "dsv4/step.h"
#include "ops/support/op_times.h"
#include "runtime/disk_reads.h"
#include "runtime/engine_model.h"
#include "runtime/inner.h"
#include "runtime/measure.h"
#include "runtime/yardstick.h"

namespace dsv4 {

namespace {

std::vector<int64_t> random_tokens(int64_t count, int64_t vocabulary, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(vocabulary)));
  return tokens;
}

/// Sums of the ops' times over stretches between begin() and end().
class PartTimes {
 public:
  void begin() {
    start_ = ops::OpTimes::read();
    clock_ = std::chrono::steady_clock::now();
  }
  void end() {
    const auto now = ops::OpTimes::read();
    const std::chrono::nanoseconds passed = std::chrono::steady_clock::now() - clock_;
    rest_ += passed.count();
    for (size_t i = 0; i < now.size(); ++i) {
      sums_[i] += now[i] - start_[i];
      rest_ -= now[i] - start_[i];
    }
  }
  /// Of `count` calls, each of which reads `bytes`; the time outside the ops is the last part.
  std::vector<OpSeconds> mean(size_t count, const std::array<int64_t, ops::kOpParts>& bytes = {}) const {
    const auto seconds_of = [&](int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9 / static_cast<double>(count); };
    std::vector<OpSeconds> result;
    for (size_t i = 0; i < sums_.size(); ++i)
      result.push_back({ops::op_part_name(static_cast<ops::OpPart>(i)), seconds_of(sums_[i]), bytes[i]});
    result.push_back({"between the ops", seconds_of(rest_)});
    return result;
  }

 private:
  std::array<int64_t, ops::kOpParts> start_{}, sums_{};
  std::chrono::steady_clock::time_point clock_;
  int64_t rest_ = 0;
};

/// Of the cache, what the token at this position reads in each part.
void add_cache_bytes(const ops::CacheShape& cache, int64_t position, int64_t index_topk, int64_t all,
                     std::array<int64_t, ops::kOpParts>& by_part) {
  int64_t keys = 0;  // of the indexers
  for (const ops::CacheLayer& layer : cache.layers) {
    const int64_t visible = layer.overlap ? (position + 1) / layer.ratio : 0;
    if (visible > index_topk) keys += visible * cache.index_head_dim * (cache.type == CachePrecision::kBF16 ? 2 : 4);
  }
  by_part[static_cast<size_t>(ops::OpPart::kAttentionIndexer)] += keys;
  by_part[static_cast<size_t>(ops::OpPart::kAttentionCore)] += all - keys;
}

/// Decodes the tokens, memory being read before, between and after groups of them; the time of each is added to `times`.
void decode_in_groups(Session& session, std::span<const int64_t> tokens, int64_t group, Yardstick& yardstick, PartTimes& parts,
                      std::vector<double>& times) {
  yardstick.read();
  while (!tokens.empty()) {
    const int64_t count = std::min(group, std::ssize(tokens));
    double group_seconds = 0.0;
    parts.begin();
    for (const int64_t& token : tokens.first(static_cast<size_t>(count))) {
      times.push_back(seconds([&] { session.feed(std::span(&token, 1)); }));
      group_seconds += times.back();
    }
    parts.end();
    yardstick.read();
    yardstick.add_group(count, group_seconds);
    tokens = tokens.subspan(static_cast<size_t>(count));
  }
}

/// Sequences that go on from where `prefilled` is, each with other tokens, one step a token; the time of each is added to `times`.
void decode_together(const Engine& engine, const Session& prefilled, const BenchmarkOptions& options, std::vector<double>& times) {
  const int64_t sequences = options.parallel;
  const std::vector<int64_t> tokens = random_tokens(sequences * options.decode, engine.vocab_size(), 3);
  std::vector<Session> sessions;
  for (int64_t i = 0; i < sequences; ++i) {
    sessions.emplace_back(engine);
    if (options.context > 0) {
      Inner::fill_with_noise(sessions.back(), options.context);
    } else {
      sessions.back().restore(prefilled.save());  // not a fork: caches of their own, as different texts have
    }
  }
  const std::unique_ptr<CpuSteps>& forms = Inner::model(engine).steps;
  if (forms && std::ranges::find(CpuSteps::kFewRows, sequences) != CpuSteps::kFewRows.end()) forms->wait_for_form(sequences);
  for (int64_t t = 0; t < options.decode; ++t) {
    std::vector<Step> steps;
    for (int64_t i = 0; i < sequences; ++i)
      steps.push_back({sessions[static_cast<size_t>(i)], std::span(tokens).subspan(static_cast<size_t>(t * sequences + i), 1)});
    times.push_back(seconds([&] { engine.step(steps); }));
  }
}

/// Of a choice as chats make it, at several positions.
double sampler_seconds(std::span<const float> logits) {
  Sampler sampler({.temperature = 1.0, .top_p = 0.95});
  std::vector<double> times;
  for (int64_t position = 0; position < 33; ++position) times.push_back(seconds([&] { sampler.sample(logits, position); }));
  return median(times);
}

}  // namespace

Benchmark run_benchmark(const Engine& engine, const BenchmarkOptions& options) {
  if (options.prompt < 1 || options.decode < 1 || options.repeats < 1 || options.parallel < 1)
    fail("a benchmark needs a prompt, a token to decode, a repeat and a sequence");
  const Engine::Model& model = Inner::model(engine);
  const int64_t begin = options.context > 0 ? options.context : options.prompt;
  if (begin + options.decode > engine.context()) {
    fail(path_text(model.folder), ": a benchmark of ", begin, " + ", options.decode, " tokens; the engine takes sequences of ",
         engine.context());
  }
  if (options.context > 0 && engine.program() != Program::kCpu)
    fail(path_text(model.folder), ": --context: the portable program cannot start in the middle of a sequence");
  const std::vector<int64_t> prompt = random_tokens(options.prompt, engine.vocab_size(), 1);
  const std::vector<int64_t> next = random_tokens(options.decode, engine.vocab_size(), 2);
  Benchmark result;
  const int64_t middle = begin + options.decode / 2;
  TokenBytes bytes = model.token_bytes.at(middle);
  result.weight_bytes = bytes.active;
  result.cache_bytes = engine.cache_bytes(middle);
  add_cache_bytes(model.cache, middle, model.config.index_topk, result.cache_bytes, bytes.by_part);
  {
    Session first(engine);
    result.first_token_seconds = engine.open_seconds() + seconds([&] { first.feed(std::span(prompt).first(1)); });
  }

  const int64_t token_bytes = result.weight_bytes.total() + result.cache_bytes;
  const std::optional<ExpertReport> opened = expert_report(engine);
  Yardstick yardstick(engine.threads(), token_bytes, opened ? opened->unfilled_bytes : 0);
  std::vector<double> prefill, decode, together;
  std::vector<float> logits;
  int64_t from_disk = 0;
  std::optional<ExpertUse> experts;
  if (opened) experts = ExpertUse{*opened};
  if (experts) experts->report.counts = {};
  bool counted = true;
  Session prefilled(engine), decoding(engine);
  ops::OpTimes::enable(true);
  PartTimes prefill_parts, decode_parts;
  for (int64_t repeat = 0; repeat < options.repeats; ++repeat) {
    prefilled.reset();
    prefill_parts.begin();
    prefill.push_back(seconds([&] { logits = prefilled.feed(prompt, options.chunk > 0 ? options.chunk : engine.prompt_chunk()); }));
    prefill_parts.end();
    if (options.context > 0) {
      Inner::fill_with_noise(decoding, options.context);
    } else {
      decoding.restore(prefilled.save());
    }
    const std::optional<int64_t> before = disk_bytes_read();
    const std::optional<ExpertReport> experts_before = expert_report(engine);
    decode_in_groups(decoding, next, tokens_between_readings(token_bytes), yardstick, decode_parts, decode);
    if (experts) experts->add(expert_report(engine)->counts.since(experts_before->counts), std::ssize(next));
    const std::optional<int64_t> after = disk_bytes_read();
    if (options.parallel > 1) decode_together(engine, prefilled, options, together);
    counted = counted && before && after;
    if (counted) from_disk += *after - *before;
  }
  if (experts) {
    for (const double token : decode) experts->seconds += token;
    result.drive_bandwidth = drive_bandwidth(engine);
  }
  result.experts = experts;
  result.sampler_seconds = sampler_seconds(std::span(logits).last(static_cast<size_t>(engine.vocab_size())));
  result.prefill_seconds = median(prefill);
  result.decode_seconds = median(decode);
  if (!together.empty()) result.step_seconds = median(together);
  result.prefill_deviation = deviation(prefill);
  result.decode_deviation = deviation(decode);
  result.read_bandwidth = yardstick.one_stream();
  result.far_bandwidth = yardstick.four_streams();
  result.share_of_bandwidth = yardstick.share();
  if (counted && result.weight_bytes.total() > 0) {
    result.disk_share =
        static_cast<double>(from_disk) / static_cast<double>(result.weight_bytes.total() * static_cast<int64_t>(decode.size()));
  }
  ops::OpTimes::enable(false);
  if (engine.program() == Program::kCpu) {
    result.prefill_by_op = prefill_parts.mean(prefill.size());
    result.decode_by_op = decode_parts.mean(decode.size(), bytes.by_part);
  }
  return result;
}

}  // namespace dsv4
