// What it takes to share, copy, write and read the state of a sequence, at V4-Flash's dimensions with all its layers; no weights are needed. Markdown on
// standard output. Usage: bench_states CONFIG.json FILE [MODEL], e.g. benchmarks/configs/v4-flash-deep.json, a place for a snapshot, which is deleted again, and a
// model folder whose sessions are forked too.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include "checkpoint/config.h"
#include "dsv4/session.h"
#include "graph/cpu/cpu.h"
#include "ops/attention/cache_memory.h"
#include "ops/attention/cache_view.h"
#include "runtime/inner.h"
#include "runtime/snapshot_form.h"

namespace {

using namespace dsv4;
using Clock = std::chrono::steady_clock;

constexpr int kForks = 64;

Config config_of(const char* file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return parse_config(text.str(), file);
}

template <class F>
double seconds(const F& f) {
  const Clock::time_point start = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Bytes of a cache that are in memory for it alone.
int64_t own_bytes(const ops::CacheMemory& cache) {
  const auto first = reinterpret_cast<uintptr_t>(cache.data()), last = first + static_cast<uintptr_t>(cache.layout().bytes());
  std::ifstream file("/proc/self/smaps");
  int64_t bytes = 0;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    long kilobytes = 0;
    std::istringstream words(line);
    if (words >> std::hex >> begin >> dash >> end && dash == '-') inside = begin >= first && end <= last;
    if (inside && std::sscanf(line.c_str(), "Anonymous: %ld kB", &kilobytes) == 1) bytes += kilobytes * 1024;
  }
  return bytes;
}

void fill(ops::CacheMemory& cache, int64_t tokens) {
  cache.will_write(0);
  uint32_t state = 1;
  for (const auto& range : cache.layout().used(tokens)) {
    for (int64_t i = range.begin; i + 4 <= range.end; i += 4) {
      state = state * 1664525u + 1013904223u;
      std::memcpy(cache.data() + i, &state, 4);
    }
  }
}

/// Writes where the ops write for the tokens after `position`.
void write_tokens(ops::CacheMemory& cache, int64_t position, int64_t tokens) {
  const ops::CacheLayout& layout = cache.layout();
  const ops::CacheShape& shape = layout.shape();
  cache.will_write(position);
  const auto write = [&](int64_t offset, int64_t bytes) { std::memset(cache.data() + offset, 1, static_cast<size_t>(bytes)); };
  const auto write_row = [&](const ops::Ring& ring, int64_t offset, int64_t p) {
    write(offset + ring.place(p) * ring.row_bytes, ring.row_bytes);
  };
  for (int64_t p = position; p < position + tokens; ++p) {
    for (size_t i = 0; i < shape.layers.size(); ++i) {
      const ops::CacheLayer& layer = shape.layers[i];
      const auto& place = layout.layer(static_cast<int64_t>(i));
      write_row(ops::window_ring(shape.window, shape.head_dim, shape.type), place.window, p);
      if (layer.ratio > 0) write_row(ops::tail_ring(layer, shape.head_dim), place.tail, p);
      if (layer.overlap) write_row(ops::tail_ring(layer, shape.index_head_dim), place.index_tail, p);
    }
    for (const auto& list : layout.lists()) {
      if ((p + 1) % list.ratio == 0) write(list.end(p), list.row_bytes);
    }
  }
}

void measure_forks(const ops::CacheShape& shape, int64_t tokens) {
  ops::CacheMemory parent(shape);
  fill(parent, tokens);
  int64_t full = 0;
  for (const auto& range : parent.layout().used(tokens)) full += range.end - range.begin;
  std::vector<std::byte> copy;
  const double copying = seconds([&] {
    copy.reserve(static_cast<size_t>(full));
    for (const auto& range : parent.layout().used(tokens)) copy.insert(copy.end(), parent.data() + range.begin, parent.data() + range.end);
  });
  std::vector<std::unique_ptr<ops::CacheMemory>> forks;
  const double first = seconds([&] { parent.freeze(tokens, ops::kSlackRows); });
  const double others = seconds([&] {
    for (int i = 0; i < kForks; ++i) {
      forks.push_back(std::make_unique<ops::CacheMemory>(shape));
      forks.back()->go_on_from(parent.freeze(tokens, ops::kSlackRows));
    }
  });
  const auto share = [&] {
    int64_t bytes = 0;
    for (const auto& fork : forks) bytes += own_bytes(*fork);
    return 100.0 * static_cast<double>(bytes) / kForks / static_cast<double>(full);
  };
  std::printf("| %ld | %.1f | %.0f | %.0f | %.2f |", tokens, static_cast<double>(full) / 1e6, 1e3 * copying, 1e3 * first,
              1e3 * others / kForks);
  const double at_once = share();
  int64_t position = tokens;
  for (const int64_t more : {1, 8, 128}) {
    if (more == 1) std::printf(" %.1f |", at_once);
    for (const auto& fork : forks) write_tokens(*fork, position, tokens + more - position);
    position = tokens + more;
    std::printf(" %.1f |", share());
    std::fflush(stdout);
  }
  std::printf("\n");
}

void measure_file(const ops::CacheShape& shape, int64_t tokens, const char* file) {
  ops::CacheMemory cache(shape);
  fill(cache, tokens);
  Snapshot snapshot;
  snapshot.position = tokens;
  Snapshot::State& state = snapshot.states["cache"];
  for (const auto& range : cache.layout().used(tokens))
    state.bytes.insert(state.bytes.end(), cache.data() + range.begin, cache.data() + range.end);
  const double gigabytes = static_cast<double>(state.bytes.size()) / 1e9;
  const double hashing = seconds([&] { snapshot.digest = digest_of(snapshot); });
  const double writing = seconds([&] { write_snapshot(snapshot, file); });
  const double reading = seconds([&] { read_snapshot(file); });
  ::unlink(file);
  std::printf("| %ld | %.3f | %.1f | %.2f | %.2f |\n", tokens, gigabytes, gigabytes / hashing, gigabytes / writing, gigabytes / reading);
}

/// Of the process: anonymous memory and memfd.
int64_t process_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  int64_t bytes = 0;
  for (std::string line; std::getline(file, line);) {
    long kilobytes = 0;
    if (std::sscanf(line.c_str(), "Pss_Anon: %ld kB", &kilobytes) == 1 || std::sscanf(line.c_str(), "Pss_Shmem: %ld kB", &kilobytes) == 1) {
      bytes += kilobytes * 1024;
    }
  }
  return bytes;
}

/// Whole sessions, with what OpenVINO takes for each: with and without the sequence.
void measure_sessions(const char* model, int64_t tokens) {
  const Engine engine(model);
  const std::vector<int64_t> next = {1};
  const auto measure = [&](int64_t position) {
    Session session(engine);
    Inner::fill_with_noise(session, position);
    session.feed(next);
    const int64_t before = process_bytes();
    std::vector<Session> forks;
    const double forking = seconds([&] {
      for (int i = 0; i < kForks; ++i) forks.push_back(session.fork());
    });
    const int64_t forked = process_bytes();
    for (Session& fork : forks) fork.feed(next);
    const auto each = [&](int64_t bytes) { return static_cast<double>(bytes - before) / 1e6 / kForks; };
    std::printf("| %ld | %.2f | %.2f | %.2f | %.2f |\n", position, static_cast<double>(session.snapshot_bytes()) / 1e6,
                1e3 * forking / kForks, each(forked), each(process_bytes()));
  };
  std::printf("\n| tokens | copy, MB | each of %d forks, ms | memory of each, MB | after 1 token, MB |\n|---|---|---|---|---|\n", kForks);
  measure(1);
  measure(tokens);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: bench_states CONFIG.json FILE [MODEL]\n");
    return 2;
  }
  try {
    const ops::CacheShape shape = cpu_cache_shape(config_of(argv[1]), 1 << 20, CachePrecision::kBF16);
    std::printf(
        "| tokens | copy, MB | ms | first fork, ms | each of %d more, ms | own memory of each, %% of a copy | after 1 token | 8 | 128 |\n",
        kForks);
    std::printf("|---|---|---|---|---|---|---|---|---|\n");
    for (const int64_t tokens : {16384, 16384 + 77, 16384 + 127}) measure_forks(shape, tokens);
    std::printf("\n| tokens | GB | hash, GB/s | to a file, GB/s | from it, GB/s |\n|---|---|---|---|---|\n");
    for (const int64_t tokens : {1024, 16384, 65536}) measure_file(shape, tokens, argv[2]);
    if (argc == 4) measure_sessions(argv[3], 16384);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_states: %s\n", error.what());
    return 1;
  }
}
