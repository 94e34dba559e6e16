// Speed of products with packed weights: bytes of weights a second for one token, beside the bandwidth of the memory, and arithmetic for many tokens.
//
// usage: bench_matrix [THREADS [REPEATS [INSTRUCTION_SET [TYPE]]]]; INSTRUCTION_SET as Highway names it (AVX3_DL, AVX2, SSE4, ...), default (and "best"): the
// best; TYPE: only the rows of this type, as it is printed ("u4 g128"). Prints JSON.
#define HWY_WANT_AVX3_DL  // as the kernels do
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <hwy/highway.h>

#include "ops/matrix/multiply.h"
#include "files/lazy_memory.h"
#include "runtime/measure.h"
#include "runtime/read_bandwidth.h"

namespace {

using dsv4::ActivationRounding;
using dsv4::LazyMemory;
using dsv4::median;
using dsv4::NumberFormat;
using dsv4::seconds;
using dsv4::ops::PackedMatrix;

struct Kind {
  const char* name;
  NumberFormat type;
  int64_t group;  ///< -1: a scale a row; 0: none
  bool zero_points;
};

struct Shape {
  int64_t rows, cols;
};

/// As many matrices of a kind as the memory holds, so that none is in a cache when it is used again.
std::vector<PackedMatrix> matrices_in(const LazyMemory& memory, const Kind& kind, const Shape& shape, size_t bytes) {
  std::vector<PackedMatrix> matrices;
  PackedMatrix m{.type = kind.type, .rows = shape.rows, .cols = shape.cols, .group = kind.group == -1 ? shape.cols : kind.group};
  const bool fp8 = kind.type == NumberFormat::kF8E4M3, exponents = fp8 || kind.type == NumberFormat::kF4E2M1;
  if (exponents) m.scale = NumberFormat::kF8E8M0;
  if (fp8) m.group_rows = 128;
  std::byte* at = memory.data();
  const auto take = [&](int64_t size) {
    std::byte* taken = at;
    at += (size + 63) / 64 * 64;
    return taken;
  };
  std::mt19937 random(3);
  for (;;) {
    m.codes = take(m.code_bytes());
    if (m.group != 0) {
      std::byte* scales = take(m.scale_bytes());
      m.scales = scales;
      if (static_cast<size_t>(at - memory.data()) > bytes) return matrices;
      // Finite ones: products with NaN are slow on no processor of today, but results should mean something.
      for (int64_t i = 0; i < m.scale_bytes(); i += exponents ? 1 : 2) {
        if (exponents) {
          scales[i] = static_cast<std::byte>(118 + random() % 8);
        } else {
          scales[i + 1] = static_cast<std::byte>(0x1C + random() % 4);
        }
      }
      if (kind.zero_points) m.zero_points = take(m.zero_point_bytes());
    }
    if (static_cast<size_t>(at - memory.data()) > bytes) return matrices;
    if (m.group == 0) {  // exponents without NaN
      const int width = kind.type == NumberFormat::kF32 ? 4 : 2;
      auto* codes = const_cast<std::byte*>(m.codes);
      for (int64_t i = width - 1; i < m.code_bytes(); i += width)
        codes[i] = static_cast<std::byte>(kind.type == NumberFormat::kF16 ? 0x2C : 0x3D);
    }
    matrices.push_back(m);
  }
}

void print_row(const char* isa, const Kind& kind, const Shape& shape, const char* mode, int64_t tokens, double gb, double gflops,
               double read) {
  static bool first = true;
  std::printf(
      "%s\n  {\"isa\": \"%s\", \"type\": \"%s\", \"rows\": %ld, \"cols\": %ld, \"mode\": \"%s\", \"tokens\": %ld, \"gb_s\": %.2f, "
      "\"read_gb_s\": %.2f, \"gflops\": %.1f}",
      first ? "" : ",", isa, kind.name, static_cast<long>(shape.rows), static_cast<long>(shape.cols), mode, static_cast<long>(tokens), gb,
      read, gflops);
  std::fflush(stdout);
  first = false;
}

void measure(const char* isa, const LazyMemory& memory, dsv4::ReadBandwidth& yardstick, const Kind& kind, const Shape& shape,
             ActivationRounding mode, int64_t tokens, int repeats) {
  // One token: all of the memory, from first to last. Many: a few matrices.
  const std::vector<PackedMatrix> matrices =
      matrices_in(memory, kind, shape, tokens == 1 ? static_cast<size_t>(memory.size()) : size_t{64} << 20);
  if (matrices.empty()) return;
  double bytes = 0.0, products = 0.0;
  const size_t used = tokens == 1 ? matrices.size() : tokens <= 16 ? std::min<size_t>(4, matrices.size()) : 1;
  for (size_t i = 0; i < used; ++i) {
    bytes += static_cast<double>(matrices[i].bytes());
    products += static_cast<double>(shape.rows * shape.cols * tokens);
  }
  dsv4::ops::Scratch inputs;  // aligned as they are in the ops
  float* x = inputs.take<float>(tokens * shape.cols);
  float* y = inputs.take<float>(tokens * shape.rows);
  std::mt19937 random(5);
  for (int64_t i = 0; i < tokens * shape.cols; ++i) x[i] = static_cast<float>(random() % 2001) * 1e-3f - 1.0f;
  std::vector<double> times, reads;
  for (int i = 0; i < repeats; ++i) {
    if (tokens == 1) reads.push_back(yardstick.measure(dsv4::ReadBandwidth::Streams::kOne));
    times.push_back(seconds([&] {
      for (size_t k = 0; k < used; ++k) {
        dsv4::ops::Scratch scratch;
        const auto a = dsv4::ops::make_activations(x, tokens, shape.cols, shape.cols, mode, scratch);
        dsv4::ops::multiply(matrices[k], a, y, shape.rows, scratch);
      }
    }));
  }
  const double time = median(times);
  print_row(isa, kind, shape, mode == ActivationRounding::kInt8 ? "int8" : "f32", tokens, bytes * 1e-9 / time, 2e-9 * products / time,
            tokens == 1 ? median(reads) : 0.0);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 7;
  if (threads < 1 || repeats < 1) {
    std::fprintf(stderr, "usage: bench_matrix [THREADS [REPEATS [INSTRUCTION_SET [TYPE]]]]\n");
    return 2;
  }
  const char* isa = "best";
  if (argc > 3 && std::strcmp(argv[3], isa) != 0) {
    for (const auto target : hwy::SupportedAndGeneratedTargets()) {
      if (std::strcmp(hwy::TargetName(target), argv[3]) != 0) continue;
      isa = argv[3];
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().DeInit();
    }
    if (std::strcmp(isa, "best") == 0) {
      std::fprintf(stderr, "bench_matrix: this processor has no instruction set %s\n", argv[3]);
      return 2;
    }
  }
  const std::vector<Kind> kinds = {
      {"u4 g128", NumberFormat::kU4, 128, true},  {"u4 g64", NumberFormat::kU4, 64, true},
      {"u4 g32", NumberFormat::kU4, 32, true},    {"u4 row", NumberFormat::kU4, -1, true},
      {"i4 g128", NumberFormat::kI4, 128, false}, {"u8 row", NumberFormat::kU8, -1, true},
      {"i8 row", NumberFormat::kI8, -1, false},   {"f4e2m1", NumberFormat::kF4E2M1, 32, false},
      {"f16", NumberFormat::kF16, 0, false},      {"bf16", NumberFormat::kBF16, 0, false},
      {"f32", NumberFormat::kF32, 0, false},      {"f8e4m3", NumberFormat::kF8E4M3, 128, false},
  };
  const LazyMemory memory(int64_t{512} << 20, "matrices", LazyMemory::Pages::kHuge);
  std::mt19937_64 random(7);
  auto* words = reinterpret_cast<uint64_t*>(memory.data());
  for (int64_t i = 0; i < memory.size() / 8; ++i) words[i] = random();
  dsv4::ReadBandwidth yardstick(threads);
  std::printf("[");
  tbb::task_arena arena(threads);
  arena.execute([&] {
    for (const Kind& kind : kinds) {
      if (argc > 4 && std::strcmp(argv[4], kind.name) != 0) continue;
      for (const ActivationRounding mode : {ActivationRounding::kInt8, ActivationRounding::kF32}) {
        if (kind.group == 0 && mode == ActivationRounding::kInt8) continue;  // float weights know one way
        for (const Shape& shape : {Shape{4096, 4096}, Shape{2048, 7168}, Shape{256, 4096}, Shape{64, 64}}) {
          measure(isa, memory, yardstick, kind, shape, mode, 1, repeats);
        }
        for (const int64_t tokens : {2, 4, 8, 16, 64, 512}) measure(isa, memory, yardstick, kind, {4096, 4096}, mode, tokens, repeats);
      }
    }
  });
  std::printf("\n]\n");
  return 0;
}
