// A row's logits have the same bits however its sequence is fed: in one call, in any split, beside any other rows, on any number of threads.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "checkpoint/synthesize.h"
#include "dsv4/session.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr size_t kTokens = 300;

EngineOptions options_of(ActivationRounding activations, CachePrecision cache, bool quantize_cache, int threads) {
  EngineOptions options;
  options.program = Program::kCpu;
  options.activations = activations;
  options.cache = cache;
  options.quantize_cache = quantize_cache;
  options.threads = threads;
  options.all_logits = true;
  return options;
}

/// Entries complete inside a call at positions around 3, 31, 63, 127 and 255; calls of 1 to 8 rows, of 9 to 32, and longer ones.
const std::vector<std::vector<size_t>>& splits() {
  static const std::vector<std::vector<size_t>> kSplits = {{1},           {2},     {3},         {4},          {5},     {7, 1},
                                                           {8},           {9},     {31, 2},     {32},         {33, 6}, {64, 1, 1, 31},
                                                           {124, 8, 121}, {16, 5}, {250, 3, 2}, {kTokens - 1}};
  return kSplits;
}

/// For what is not the default.
const std::vector<std::vector<size_t>>& some_splits() {
  static const std::vector<std::vector<size_t>> kSplits = {{1}, {7, 1}, {31, 2}, {124, 8, 121}};
  return kSplits;
}

size_t rows_that_differ(const Logits& a, const Logits& b) {
  if (a.size() != b.size()) return kTokens;
  const size_t width = a.size() / kTokens;
  size_t rows = 0;
  for (size_t t = 0; t < kTokens; ++t) rows += std::memcmp(&a[t * width], &b[t * width], width * sizeof(float)) != 0;
  return rows;
}

void expect_equal_bits(const std::filesystem::path& folder, const Tokens& tokens) {
  for (const ActivationRounding activations : {ActivationRounding::kInt8, ActivationRounding::kF32}) {
    for (const auto& [cache, quantize] :
         {std::pair{CachePrecision::kBF16, false}, {CachePrecision::kF32, false}, {CachePrecision::kBF16, true}}) {
      SCOPED_TRACE(std::string(activations == ActivationRounding::kInt8 ? "int8" : "f32") + " activations, " +
                   (cache == CachePrecision::kF32 ? "f32"
                    : quantize                    ? "quantised"
                                                  : "bf16") +
                   " cache");
      const Engine one_thread(folder, options_of(activations, cache, quantize, 1)),
          two_threads(folder, options_of(activations, cache, quantize, 2));
      Session first(one_thread);
      const Logits expected = first.feed(tokens);
      const bool is_default = activations == ActivationRounding::kInt8 && cache == CachePrecision::kBF16 && !quantize;
      for (const std::vector<size_t>& lengths : is_default ? splits() : some_splits()) {
        Session session(two_threads);
        EXPECT_EQ(rows_that_differ(feed_in_parts(session, tokens, lengths), expected), 0u) << "parts of " << lengths.front();
      }
      Session chunked(two_threads);
      EXPECT_EQ(rows_that_differ(chunked.feed(tokens, 37), expected), 0u) << "chunks of 37";
    }
  }
}

struct Case {
  const char* golden;
  const char* name;
  WeightFormat format;
  bool all_layers = false;
};

class RowBits : public testing::TestWithParam<Case> {};

TEST_P(RowBits, AreTheSameInAnySplit) {
  const Case& c = GetParam();
  const TemporaryDirectory directory;
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint(c.golden);
  options.output = directory.path() / c.golden;
  options.compression.format = c.format;
  options.compression.all_layers = c.all_layers;
  options.compression.fallback = GroupSizeFallback::kAdjust;
  convert(options);
  Tokens tokens = dsv4_test::golden_tokens(c.golden);
  tokens.resize(kTokens);
  expect_equal_bits(options.output, tokens);
}

INSTANTIATE_TEST_SUITE_P(Goldens, RowBits,
                         testing::Values(Case{"toy", "Int4", WeightFormat::kInt4}, Case{"toy", "Fp32", WeightFormat::kFp32},
                                         Case{"hash", "Int4", WeightFormat::kInt4, true}, Case{"hash", "Fp16", WeightFormat::kFp16},
                                         Case{"mini", "Int8", WeightFormat::kInt8}, Case{"mini", "Int4", WeightFormat::kInt4},
                                         Case{"mini", "Mxfp4", WeightFormat::kMxfp4}),
                         [](const testing::TestParamInfo<Case>& test) {
                           return std::string(test.param.golden) + test.param.name + (test.param.all_layers ? "AllLayers" : "");
                         });

/// V4-Flash's widths: long rows of whole units, 64 heads, products that threads divide.
class Full_RowBits : public testing::TestWithParam<WeightFormat> {};

TEST_P(Full_RowBits, AreTheSameInAnySplitOfRealWidths) {
  const TemporaryDirectory directory;
  const std::filesystem::path config = directory.path() / "config.json", checkpoint = directory.path() / "checkpoint";
  write_file(config, read_file(std::filesystem::path(DSV4_TEST_DATA) / "../../benchmarks/configs/v4-flash-slice.json"));
  change_json(config, {{"n_routed_experts", 16}, {"vocab_size", 16384}, {"num_hash_layers", 1}});
  synthesize({.preset_or_config = config.string(), .output = checkpoint});
  ConvertOptions options;
  options.checkpoint = checkpoint;
  options.output = directory.path() / "model";
  options.compression.format = GetParam();
  convert(options);
  Tokens tokens;
  for (size_t i = 0; i < kTokens; ++i) tokens.push_back(static_cast<int64_t>(i * 7919 % 16384));
  expect_equal_bits(options.output, tokens);
}

INSTANTIATE_TEST_SUITE_P(Formats, Full_RowBits, testing::Values(WeightFormat::kInt4, WeightFormat::kMxfp4, WeightFormat::kInt8),
                         [](const testing::TestParamInfo<WeightFormat>& test) {
                           return std::string(test.param == WeightFormat::kInt4   ? "Int4"
                                              : test.param == WeightFormat::kInt8 ? "Int8"
                                                                                  : "Mxfp4");
                         });

}  // namespace
}  // namespace dsv4
