// How fast checkpoint bytes are decoded and compressed, a number format and an instruction set at a time, beside the speed at which memory is read.
// JSON on standard output, for benchmarks/quantize.py. Usage: bench_quantize [THREADS [REPEATS [MEGABYTES]]]
#include <hwy/highway.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "formats/dequantize.h"
#include "quantize/compress.h"
#include "runtime/measure.h"

namespace {

constexpr int64_t kColumns = 4096;   // the inputs of V4-Flash's expert matrices
constexpr int64_t kRowsAtOnce = 16;  // 256 KB of float32: a working set for the second-level cache
constexpr int64_t kF4Block = 32;
constexpr int64_t kF8Block = 128;

struct Source {
  const char* name;
  double bytes_per_weight;
  std::function<void(const std::byte* row, const float* scales, float* out)> decode;
};

struct Target {
  std::string name;
  bool compressed;
  dsv4::StoredFormat how;
};

// Random bytes without the e4m3 NaN and without infinite bf16: every exponent bit pattern that a weight may have.
std::vector<std::byte> random_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  std::mt19937_64 random(7);
  for (size_t i = 0; i + 8 <= count; i += 8) {
    const uint64_t word = random() & 0xBFBFBFBFBFBFBFBFull;  // bit 6 of each byte is clear
    std::copy_n(reinterpret_cast<const std::byte*>(&word), 8, bytes.data() + i);
  }
  return bytes;
}

// Each thread has scratch memory of its own, as the converter's workers have.
struct Scratch {
  std::vector<float> weights = std::vector<float>(kRowsAtOnce * kColumns);
  std::vector<uint8_t> codes = std::vector<uint8_t>(kRowsAtOnce * kColumns);
  std::vector<uint8_t> packed = std::vector<uint8_t>(kRowsAtOnce * kColumns / 2);
  std::vector<uint8_t> zero_points = std::vector<uint8_t>(kRowsAtOnce * kColumns);
  std::vector<uint16_t> halves = std::vector<uint16_t>(kRowsAtOnce * kColumns);
};

void work_on(const std::byte* source, const Source& from, const Target& to, const float* scales, Scratch& scratch) {
  const auto row_bytes = static_cast<int64_t>(kColumns * from.bytes_per_weight);
  for (int64_t r = 0; r < kRowsAtOnce; ++r) from.decode(source + r * row_bytes, scales, scratch.weights.data() + r * kColumns);
  if (!to.compressed) return;
  dsv4::compress_rows(scratch.weights.data(), kRowsAtOnce, kColumns, to.how,
                      {scratch.codes.data(), scratch.halves.data(), scratch.zero_points.data()});
  if (dsv4::bits_of(to.how.type) == 4) dsv4::pack_nibbles(scratch.codes.data(), kRowsAtOnce * kColumns, scratch.packed.data());
}

/// Of one pass over some bytes: wall time, and the processor time of all threads, which other users of the machine do not lengthen.
struct Pass {
  double gb, wall, processor;
};

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Pass run(int threads, double gb, const std::function<void(int thread)>& part) {
  std::vector<double> processor(static_cast<size_t>(threads));
  const auto timed = [&](int thread) {
    const double begin = processor_seconds();
    part(thread);
    processor[static_cast<size_t>(thread)] = processor_seconds() - begin;
  };
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> workers;
  for (int t = 1; t < threads; ++t) workers.emplace_back(timed, t);
  timed(0);
  for (std::thread& worker : workers) worker.join();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return {gb, wall, std::accumulate(processor.begin(), processor.end(), 0.0)};
}

Pass read_memory(const std::vector<std::byte>& bytes, int threads) {
  const size_t part = bytes.size() / 8 / static_cast<size_t>(threads) / 8 * 8;
  const auto* words = reinterpret_cast<const uint64_t*>(bytes.data());
  static std::atomic<uint64_t> sink = 0;
  return run(threads, static_cast<double>(part * 8 * static_cast<size_t>(threads)) / 1e9, [&](int thread) {
    const uint64_t* begin = words + part * static_cast<size_t>(thread);
    uint64_t sums[8] = {};
    for (size_t i = 0; i < part; i += 8) {
      for (size_t k = 0; k < 8; ++k) sums[k] ^= begin[i + k];
    }
    for (const uint64_t sum : sums) sink ^= sum;
  });
}

Pass convert(const std::vector<std::byte>& bytes, int threads, const Source& from, const Target& to, std::vector<Scratch>& scratch) {
  static const std::vector<float> scales(kColumns, 0x1p-7f);
  const auto batch_bytes = static_cast<int64_t>(kRowsAtOnce * kColumns * from.bytes_per_weight);
  const int64_t batches = static_cast<int64_t>(bytes.size()) / batch_bytes / threads;
  return run(threads, static_cast<double>(batches * batch_bytes * threads) / 1e9, [&](int thread) {
    const std::byte* begin = bytes.data() + thread * batches * batch_bytes;
    for (int64_t b = 0; b < batches; ++b) work_on(begin + b * batch_bytes, from, to, scales.data(), scratch[static_cast<size_t>(thread)]);
  });
}

/// Medians and the range of some passes.
void measure(const char* isa, const char* from, const char* to, int threads, int repeats, const std::function<Pass()>& once) {
  static bool first = true;
  std::vector<double> wall, processor;
  for (int i = 0; i < repeats; ++i) {
    const Pass pass = once();
    wall.push_back(pass.gb / pass.wall);
    processor.push_back(pass.gb / (pass.processor / threads));
  }
  std::printf(
      "%s\n  {\"isa\": \"%s\", \"from\": \"%s\", \"to\": \"%s\", \"threads\": %d, \"wall\": %.3f, \"least\": %.3f, \"most\": %.3f, "
      "\"processor\": %.3f}",
      first ? "" : ",", isa, from, to, threads, dsv4::median(wall), *std::min_element(wall.begin(), wall.end()),
      *std::max_element(wall.begin(), wall.end()), dsv4::median(processor));
  std::fflush(stdout);
  first = false;
}

}  // namespace

int main(int argc, char** argv) {
  const int all_threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 7;
  const int megabytes = argc > 3 ? std::atoi(argv[3]) : 512;
  if (all_threads < 1 || repeats < 1 || megabytes < 1) {
    std::fprintf(stderr, "usage: bench_quantize [THREADS [REPEATS [MEGABYTES]]]\n");
    return 2;
  }
  const std::vector<Source> sources = {
      {"FP4", 0.5,
       [](const std::byte* row, const float* scales, float* out) { dsv4::dequantize_f4_row(row, scales, kF4Block, kColumns, out); }},
      {"FP8", 1.0,
       [](const std::byte* row, const float* scales, float* out) { dsv4::dequantize_f8_row(row, scales, kF8Block, kColumns, out); }},
      {"BF16", 2.0, [](const std::byte* row, const float*, float* out) { dsv4::bf16_to_f32_row(row, kColumns, out); }},
  };
  using dsv4::NumberFormat;
  const std::vector<Target> targets = {
      {"float32", false, {}},
      {"INT8_ASYM", true, {NumberFormat::kU8, -1}},
      {"INT8_SYM", true, {NumberFormat::kI8, -1}},
      {"INT4_ASYM g128", true, {NumberFormat::kU4, 128}},
      {"INT4_SYM g128", true, {NumberFormat::kI4, 128}},
      {"INT4_ASYM g32", true, {NumberFormat::kU4, 32}},
      {"INT4_SYM g32", true, {NumberFormat::kI4, 32}},
  };
  const std::vector<std::byte> bytes = random_bytes(static_cast<size_t>(megabytes) << 20);
  std::vector<Scratch> scratch(static_cast<size_t>(all_threads));
  std::vector<int> thread_counts = {1};
  if (all_threads > 1) thread_counts.push_back(all_threads);

  std::printf("[");
  const auto measure_conversion = [&](const char* isa, int threads, const Source& from, const Target& to) {
    measure(isa, from.name, to.name.c_str(), threads, repeats, [&] { return convert(bytes, threads, from, to, scratch); });
  };
  for (const int threads : thread_counts) {
    measure("best", "memory", "read", threads, repeats, [&] { return read_memory(bytes, threads); });
    for (const Source& from : sources) {
      for (const Target& to : targets) measure_conversion("best", threads, from, to);
    }
  }
  // One thread for each instruction set that this processor has, the best first.
  for (const auto isa : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(isa);
    hwy::GetChosenTarget().DeInit();
    for (const Source& from : sources) {
      for (const Target& to : {targets[0], targets[1], targets[5]}) measure_conversion(hwy::TargetName(isa), 1, from, to);
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }
  std::printf("\n]\n");
  return 0;
}
