// Time of the parts of the op Attention that are no products with weights, at V4-Flash dimensions: pooling, index scores and selection, the core.
// One JSON object a line on standard output. Usage: bench_attention [REPEATS [INSTRUCTION_SET]], e.g. 20 AVX2. All threads of
// the process' arena: taskset limits them.
#include <hwy/highway.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "openvino/core/parallel.hpp"
#include "ops/attention/compressor.h"
#include "ops/attention/indexer.h"
#include "ops/attention/rows.h"
#include "ops/attention/sparse_core.h"
#include "processor_time.h"

namespace {

using namespace dsv4::ops;
using dsv4::CachePrecision;

constexpr int64_t kHeads = 64, kHeadDim = 512, kWindow = 128, kIndexHeads = 64, kIndexDim = 128, kTopK = 512, kPairs = 32;

std::vector<float> random_floats(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  std::mt19937 random(1);
  for (float& v : values) v = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31f;
  return values;
}

/// Rows of a cache in its type; random values repeat after a while.
std::vector<std::byte> random_rows(int64_t rows, int64_t dims, CachePrecision type) {
  const int64_t bytes = dims * value_bytes(type);
  std::vector<std::byte> memory(static_cast<size_t>(rows * bytes));
  const std::vector<float> values = random_floats(257 * dims);
  for (int64_t r = 0; r < rows; ++r) store_row(values.data() + r % 257 * dims, dims, type, memory.data() + r * bytes);
  return memory;
}

/// Microseconds: wall time, and the processor time of all threads, which other users of the machine do not lengthen.
struct Time {
  double wall = 1e30, processor = 1e30;
};

/// Least times of `run` a token; `reset` is not timed.
template <class Reset, class Run>
Time least(int repeats, int64_t tokens, const Reset& reset, const Run& run) {
  Time best;
  for (int i = 0; i < repeats; ++i) {
    reset();
    const double processor = processor_microseconds();
    const auto begin = std::chrono::steady_clock::now();
    run();
    const double wall = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
    best.wall = std::min(best.wall, wall / static_cast<double>(tokens));
    best.processor = std::min(best.processor, (processor_microseconds() - processor) / static_cast<double>(tokens));
  }
  return best;
}

void report(const char* part, int64_t position, int64_t tokens, Time time, double operations) {
  std::printf(
      "{\"part\": \"%s\", \"position\": %lld, \"tokens\": %lld, \"us_per_token\": %.1f, \"processor_us_per_token\": %.1f, "
      "\"gflops_per_core\": %.1f, "
      "\"threads\": %d}\n",
      part, static_cast<long long>(position), static_cast<long long>(tokens), time.wall, time.processor, operations / time.processor * 1e-3,
      parallel_get_max_threads());
}

struct Layer {
  const char* name;
  int64_t ratio;
  bool overlap;
};

/// `tokens` tokens of one layer that come after `position`.
void measure(const Layer& layer, int64_t position, int64_t tokens, int repeats) {
  const CachePrecision type = CachePrecision::kBF16;
  const int64_t end = position + tokens, entries = layer.ratio > 0 ? end / layer.ratio : 0;
  Scratch tables;
  const std::vector<float> frequencies = random_floats(kPairs);
  const RopeTable rope = make_rope_table(
      frequencies.data(), kPairs, tokens, [&](int64_t t) { return position + t; }, tables);
  const std::vector<std::byte> call = random_rows(tokens, kHeadDim, type);
  Ring ring = window_ring(kWindow, kHeadDim, type);
  std::vector<std::byte> window = random_rows(ring.rows, kHeadDim, type);
  ring.memory = window.data();
  std::vector<std::byte> list = random_rows(entries, kHeadDim, type), keys = random_rows(layer.overlap ? entries : 0, kIndexDim, type);

  AttentionAttributes a;
  a.heads = kHeads;
  a.head_dim = kHeadDim;
  a.window = kWindow;
  a.ratio = layer.ratio;
  a.overlap = layer.overlap;
  a.index_heads = kIndexHeads;
  a.index_head_dim = kIndexDim;
  a.index_topk = kTopK;
  Run run;
  run.rows = tokens;
  run.position = position;
  run.window_rows = call.data();
  const RowPlace* places = places_of(std::span(&run, 1), tokens, tables);
  CacheView& cache = run.cache;
  cache.type = type;
  cache.window = ring;
  cache.entries = list.data();
  cache.index_keys = keys.data();

  std::vector<int32_t> selected(static_cast<size_t>(tokens * kTopK));
  const bool selects = layer.overlap && (position + 1) / layer.ratio > kTopK;
  if (selects) {
    const std::vector<float> fresh = random_floats(tokens * kIndexHeads * kIndexDim), weights = random_floats(tokens * kIndexHeads);
    std::vector<float> q = fresh;
    const Indexer x{a, places, tokens, q.data(), weights.data(), rope};
    const Time time = least(
        repeats, tokens, [&] { std::copy(fresh.begin(), fresh.end(), q.begin()); },
        [&] {
          Scratch scratch;
          select_entries(x, selected.data(), scratch);
        });
    report((layer.name + std::string(" indexer")).c_str(), position, tokens, time,
           2.0 * kIndexHeads * kIndexDim * static_cast<double>(entries));
  }

  const std::vector<float> fresh = random_floats(tokens * kHeads * kHeadDim), sinks = random_floats(kHeads);
  std::vector<float> heads = fresh;
  SparseCore core{a, places, tokens};
  core.heads_out = heads.data();
  core.sinks = sinks.data();
  core.rope = rope;
  core.first_selected = selects ? 0 : tokens;
  core.selected = selected.data();
  const Time time = least(
      repeats, tokens, [&] { std::copy(fresh.begin(), fresh.end(), heads.begin()); },
      [&] {
        Scratch scratch;
        attend(core, scratch);
      });
  double rows = 0.0;
  for (int64_t t = 0; t < tokens; ++t) rows += static_cast<double>(core.rows(t));
  report((layer.name + std::string(" core")).c_str(), position, tokens, time, 4.0 * kHeads * kHeadDim * rows / static_cast<double>(tokens));

  if (layer.ratio == 0) return;
  const int64_t width = raw_row_floats(a.compression(), kHeadDim);
  const std::vector<float> raw = random_floats(tokens * width), ape = random_floats(layer.ratio * width / 2),
                           norm = random_floats(kHeadDim);
  cache.tail = tail_ring(a.compression(), kHeadDim);
  std::vector<float> tail = random_floats(cache.tail.rows * width);
  cache.tail.memory = reinterpret_cast<std::byte*>(tail.data());
  CompressorWeights weights;
  weights.ape = ape.data();
  weights.norm = norm.data();
  Compressor c{a, run, weights, false, raw.data()};
  const auto position_of = [&](int64_t entry) { return (c.first_entry() + entry) * layer.ratio; };
  c.rope = make_rope_table(frequencies.data(), kPairs, c.entries_made(), position_of, tables);
  report((layer.name + std::string(" compressor")).c_str(), position, tokens,
         least(
             repeats, tokens, [] {},
             [&] {
               Scratch scratch;
               append_entries(std::span(&c, 1), scratch);
             }),
         0.0);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    if (argc > 2 && std::string(hwy::TargetName(target)) == argv[2]) hwy::SetSupportedTargetsForTest(target);
  }
  for (const Layer& layer : {Layer{"sliding", 0, false}, Layer{"csa", 4, true}, Layer{"hca", 128, false}}) {
    for (const int64_t position : {int64_t{1023}, int64_t{65535}}) measure(layer, position, 1, repeats);
    measure(layer, 0, 512, std::max(1, repeats / 5));
    measure(layer, 65536, 512, std::max(1, repeats / 10));
  }
}
