// The CPU program on any number of threads, fewer and more than the machine has cores: the same bits.
#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "graph/cpu/cpu.h"
#include "ops/attention/cache_pool.h"
#include "runtime/converted_model.h"
#include "runtime/inner.h"
#include "runtime/read_ir.h"
#include "runtime/weight_memory.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using Logits = std::vector<float>;

constexpr size_t kPrompt = 280, kDecoded = 12;  // beyond the window; entries complete while decoding

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Threads : public testing::TestWithParam<std::tuple<const char*, ActivationRounding>> {
 protected:
  Threads() : folder_(directory_.path() / "model"), tokens_(dsv4_test::golden_tokens(std::get<0>(GetParam()))) {
    ConvertOptions options;
    options.checkpoint = dsv4_test::golden_checkpoint(std::get<0>(GetParam()));
    options.output = folder_;
    options.compression.format = WeightFormat::kInt4;
    options.compression.group_size = 32;
    options.compression.fallback = GroupSizeFallback::kAdjust;
    convert(options);
    tokens_.resize(kPrompt + kDecoded);
  }

  EngineOptions options(int threads) const {
    EngineOptions options;
    options.program = Program::kCpu;
    options.activations = std::get<1>(GetParam());
    options.threads = threads;
    options.all_logits = true;
    return options;
  }

  /// Logits of a prompt in one call, and of tokens one by one after it.
  Logits session_logits(int threads) const {
    Session session{Engine(folder_, options(threads))};
    Logits logits = session.feed(std::span(tokens_).first(kPrompt));
    for (size_t i = kPrompt; i < tokens_.size(); ++i) {
      const Logits next = session.feed(std::span(tokens_).subspan(i, 1));
      logits.insert(logits.end(), next.begin(), next.end());
    }
    return logits;
  }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
  std::vector<int64_t> tokens_;
};

TEST_P(Threads, GiveTheSameBitsOfASession) {
  const Logits alone = session_logits(1);
  for (const int threads : {2, 3, 8, 64}) EXPECT_TRUE(same_bits(session_logits(threads), alone)) << threads << " threads";
}

/// OpenVINO starts no more threads than the machine has. So the graph is evaluated node by node here, in an arena that has them.
TEST_P(Threads, GiveTheSameBitsWhereMoreThanTheCoresRun) {
  const Engine engine(folder_, options(1));
  const std::shared_ptr<ov::Model> ir = read_ir(folder_);
  ModelWeights weights(*ir, WeightMemory::kMap);
  CpuOptions cpu;
  cpu.activations = std::get<1>(GetParam());
  const std::shared_ptr<ov::Model> model = build_cpu_model(Inner::config(engine), weights, cpu).model;
  const ops::CacheLayout layout(cpu_cache_shape(Inner::config(engine), std::ssize(tokens_), CachePrecision::kBF16));
  const auto vocabulary = static_cast<size_t>(engine.vocab_size());

  const auto evaluated_logits = [&](int threads) {
    std::vector<std::byte> cache(static_cast<size_t>(layout.bytes()));
    layout.write_header(cache.data());
    const ops::CacheSlot slot(cache);
    Logits logits;
    const auto call = [&](size_t first, size_t count) {
      ov::Tensor ids(ov::element::i32, {count}), runs(ov::element::i32, {1, 4}), rows(ov::element::i32, {count});
      const int32_t run[] = {0, static_cast<int32_t>(count), static_cast<int32_t>(first), slot.id()};
      std::copy(std::begin(run), std::end(run), runs.data<int32_t>());
      for (size_t i = 0; i < count; ++i) {
        ids.data<int32_t>()[i] = static_cast<int32_t>(tokens_[first + i]);
        rows.data<int32_t>()[i] = static_cast<int32_t>(i);
      }
      ov::TensorVector outputs = {ov::Tensor(ov::element::f32, {count, vocabulary})};
      ASSERT_TRUE(model->evaluate(outputs, {ids, runs, rows}));
      const auto* values = outputs[0].data<float>();
      logits.insert(logits.end(), values, values + count * vocabulary);
    };
    const tbb::global_control allowed(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(threads));
    tbb::task_arena arena(threads);
    arena.execute([&] {
      call(0, kPrompt);
      for (size_t i = kPrompt; i < tokens_.size(); ++i) call(i, 1);
    });
    return logits;
  };

  const Logits expected = session_logits(1);
  for (const int threads : {1, 3, 8, 64}) EXPECT_TRUE(same_bits(evaluated_logits(threads), expected)) << threads << " threads";
}

INSTANTIATE_TEST_SUITE_P(Goldens, Threads,
                         testing::Combine(testing::Values("toy", "hash", "mini"),
                                          testing::Values(ActivationRounding::kInt8, ActivationRounding::kF32)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param)) + (std::get<1>(p.param) == ActivationRounding::kInt8 ? "Int8" : "F32");
                         });

}  // namespace
}  // namespace dsv4
