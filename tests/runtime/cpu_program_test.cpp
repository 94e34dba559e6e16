// The CPU program against the portable one, in every weight format, and against the reference where it rounds what it caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "checkpoint/checkpoint.h"
#include "dsv4/request.h"
#include "dsv4/session.h"
#include "reference/reference.h"
#include "runtime/benchmark.h"
#include "runtime/converted_model.h"
#include "runtime/engine_model.h"
#include "runtime/inner.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

struct Case {
  const char* golden;
  const char* name;
  CompressionOptions compression;
  ExpertForm experts = ExpertForm::kGrouped;
};

CompressionOptions format(WeightFormat weights, int64_t group = 128, bool symmetric = false, Selection selection = Selection::kTrained,
                          bool all_layers = false) {
  CompressionOptions options;
  options.format = weights;
  options.group_size = group;
  options.symmetric = symmetric;
  options.selection = selection;
  options.all_layers = all_layers;
  options.fallback = GroupSizeFallback::kAdjust;
  return options;
}

std::filesystem::path convert_case(const Case& c, const std::filesystem::path& parent) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint(c.golden);
  options.output = parent / (std::string(c.golden) + c.name);
  options.compression = c.compression;
  options.experts = c.experts;
  convert(options);
  return options.output;
}

double largest(const Logits& logits) {
  double value = 0.0;
  for (const float logit : logits) value = std::max(value, std::fabs(static_cast<double>(logit)));
  return value;
}

double mean_difference(const Logits& a, const Logits& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::fabs(static_cast<double>(a[i]) - b[i]);
  return a.size() == b.size() ? sum / static_cast<double>(a.size()) : HUGE_VAL;
}

class Formats : public testing::TestWithParam<Case> {
 protected:
  static constexpr size_t kTokens = 300;

  Formats() : folder_(convert_case(GetParam(), directory_.path())), tokens_(dsv4_test::golden_tokens(GetParam().golden)) {
    tokens_.resize(kTokens);
  }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
  Tokens tokens_;
};

TEST_P(Formats, GiveWhatThePortableProgramGives) {
  const Engine portable(folder_, every_position()), cpu(folder_, every_position(Program::kCpu));
  Session expected_session(portable);
  const Logits expected = expected_session.feed(tokens_);
  const double limit = 1e-4 * largest(expected);
  for (const std::vector<size_t>& lengths : {std::vector<size_t>{kTokens}, {1}, {7}, {64, 1, 1, 31}, {128}, {129, 2}, {3, 250}}) {
    Session session(cpu);
    EXPECT_LE(largest_difference(feed_in_parts(session, tokens_, lengths), expected), limit) << "parts of " << lengths.front();
  }
}

// docs/cpu-program.md states these bounds.
TEST_P(Formats, KeepTheBoundsOfTheDefaultRoundings) {
  const Engine exact(folder_, every_position(Program::kCpu));
  EngineOptions options;
  options.threads = 2;
  options.all_logits = true;
  const Engine rounded(folder_, options);
  EXPECT_EQ(rounded.program(), Program::kCpu);
  Session exact_session(exact), rounded_session(rounded);
  const Logits expected = exact_session.feed(tokens_), actual = rounded_session.feed(tokens_);
  const double difference = mean_difference(actual, expected);
  EXPECT_LE(difference, GetParam().golden == std::string("mini") ? 0.06 : 0.3);
  EXPECT_GT(difference, 1e-4) << "the rounding has to show";
  rounded_session.reset();
  EXPECT_LE(mean_difference(feed_in_parts(rounded_session, tokens_, {128, 1, 1}), expected), 0.3);
}

TEST_P(Formats, GiveTheSameForSessionsInTurn) {
  const Engine cpu(folder_, every_position(Program::kCpu));
  const Tokens first(tokens_.begin(), tokens_.begin() + 150), second(tokens_.begin() + 150, tokens_.end());
  Session alone(cpu);
  const Logits expected_first = alone.feed(first);
  alone.reset();
  const Logits expected_second = alone.feed(second);

  Session a(cpu), b(cpu);
  Logits of_a, of_b;
  for (size_t begin = 0; begin < 150; begin += 10) {
    const Logits part_a = a.feed(std::span(first).subspan(begin, 10));
    const Logits part_b = b.feed(std::span(second).subspan(begin, 10));
    of_a.insert(of_a.end(), part_a.begin(), part_a.end());
    of_b.insert(of_b.end(), part_b.begin(), part_b.end());
  }
  EXPECT_LE(largest_difference(of_a, expected_first), 1e-4 * largest(expected_first));
  EXPECT_LE(largest_difference(of_b, expected_second), 1e-4 * largest(expected_second));
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const char* golden : {"toy", "hash", "mini"}) {
    cases.push_back({golden, "Fp32", format(WeightFormat::kFp32)});
    cases.push_back({golden, "Fp16", format(WeightFormat::kFp16)});
    cases.push_back({golden, "Int8", format(WeightFormat::kInt8)});
    cases.push_back({golden, "Int4", format(WeightFormat::kInt4, 32)});
    cases.push_back({golden, "Mxfp4", format(WeightFormat::kMxfp4)});
  }
  cases.push_back({"toy", "Int4RowsSymmetricNncf", format(WeightFormat::kInt4, -1, true, Selection::kNncf, true)});
  cases.push_back({"hash", "Int4Nncf", format(WeightFormat::kInt4, 64, false, Selection::kNncf)});
  cases.push_back({"mini", "Int8SymmetricNncf", format(WeightFormat::kInt8, -1, true, Selection::kNncf)});
  cases.push_back({"toy", "Int4Gather", format(WeightFormat::kInt4, 32), ExpertForm::kGather});
  cases.push_back({"toy", "Int8Gather", format(WeightFormat::kInt8), ExpertForm::kGather});
  cases.push_back({"toy", "Mxfp4Gather", format(WeightFormat::kMxfp4), ExpertForm::kGather});
  cases.push_back({"toy", "Int4SymmetricGather", format(WeightFormat::kInt4, -1, true), ExpertForm::kGather});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Goldens, Formats, testing::ValuesIn(all_cases()),
                         [](const testing::TestParamInfo<Case>& p) { return std::string(p.param.golden) + p.param.name; });

class CpuProgram : public testing::Test {
 protected:
  CpuProgram() : folder_(convert_golden("toy", directory_.path())) {}

  std::string opening_error(const EngineOptions& options) const {
    return error_of([&] { const Engine engine(folder_, options); });
  }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
};

TEST_F(CpuProgram, IsTheDefaultOfStatefulFoldersOnTheCpu) {
  EXPECT_EQ(Engine(folder_).program(), Program::kCpu);
  EXPECT_EQ(Engine(convert_golden("toy", directory_.path(), false)).program(), Program::kPortable);
}

TEST_F(CpuProgram, IsRefusedWhereItCannotRun) {
  EngineOptions options = last_position(Program::kCpu);
  options.device = "GPU";
  EXPECT_THAT(opening_error(options), AllOf(HasSubstr("GPU"), HasSubstr("--program portable")));
  folder_ = convert_golden("toy", directory_.path(), false);
  EXPECT_THAT(opening_error(last_position(Program::kCpu)), AllOf(HasSubstr("prefill-only"), HasSubstr("--program portable")));
}

TEST_F(CpuProgram, RefusesAContextBeyondTheModel) {
  EngineOptions options = last_position(Program::kCpu);
  options.context = int64_t{1} << 40;
  EXPECT_THAT(opening_error(options), HasSubstr("context"));
}

TEST_F(CpuProgram, RefusesMoreThanItsContext) {
  EngineOptions options = last_position(Program::kCpu);
  options.context = 20;
  const Engine engine(folder_, options);
  EXPECT_EQ(engine.context(), 20);
  Session session(engine);
  session.feed(Tokens(19, 3));
  EXPECT_THAT(error_of([&] { session.feed(Tokens(2, 3)); }), AllOf(HasSubstr("21 tokens"), HasSubstr("limited to 20")));
  session.feed(Tokens(1, 3));
  EXPECT_EQ(session.position(), 20);
}

TEST_F(CpuProgram, ReadsTheSameWeightsWhereverTheyLie) {
  const Tokens tokens = dsv4_test::golden_tokens("toy");
  EngineOptions options = every_position(Program::kCpu);
  Session mapped{Engine(folder_, options)};
  const Logits expected = mapped.feed(tokens);
  options.weights = WeightMemory::kLoad;
  Session loaded{Engine(folder_, options)};
  EXPECT_EQ(loaded.feed(tokens), expected);
  options.weights = WeightMemory::kLock;
  if (const std::string error = opening_error(options); !error.empty()) {  // a user with a low limit
    EXPECT_THAT(error, AllOf(HasSubstr("ulimit -l"), HasSubstr("--weights load")));
    return;
  }
  Session locked{Engine(folder_, options)};
  EXPECT_EQ(locked.feed(tokens), expected);
}

TEST_F(CpuProgram, GivesTheSameBitsOnOneThreadAndTwo) {
  const Tokens tokens = dsv4_test::golden_tokens("toy");
  EngineOptions options = every_position(Program::kCpu);
  Session two{Engine(folder_, options)};
  options.threads = 1;
  Session one{Engine(folder_, options)};
  EXPECT_EQ(one.feed(tokens), two.feed(tokens));
}

TEST_F(CpuProgram, WithABf16CacheGivesTheSameInAnySplit) {
  const Tokens tokens = dsv4_test::golden_tokens("toy");
  EngineOptions options = every_position(Program::kCpu);
  options.cache = CachePrecision::kBF16;
  const Engine engine(folder_, options);
  Session whole(engine), parts(engine);
  const Logits expected = whole.feed(tokens);
  EXPECT_LE(largest_difference(feed_in_parts(parts, tokens, {1, 5, 64}), expected), 1e-4 * largest(expected));
  // Rounding to 8 bits of mantissa shows, and not much; where it changes the choice of an expert, all logits of a token move.
  const double difference = mean_difference(expected, toy_golden().f32("logits_reference"));
  EXPECT_GT(difference, 1e-4);
  EXPECT_LT(difference, 0.01 * largest(expected));
}

TEST_F(CpuProgram, RoundsItsCacheAsTheModelWasTrained) {
  for (const char* golden : {"toy", "hash"}) {
    const TemporaryDirectory directory;
    const std::filesystem::path folder = convert_golden(golden, directory.path());
    Tokens tokens = dsv4_test::golden_tokens(golden);
    tokens.resize(200);
    EngineOptions options = every_position(Program::kCpu);
    options.quantize_cache = true;
    Session session{Engine(folder, options)};
    const Logits actual = session.feed(tokens);
    const Checkpoint checkpoint = Checkpoint::open(dsv4_test::golden_checkpoint(golden));
    const Logits expected = Reference(checkpoint, {.simulate_cache_quantization = true}).logits(tokens);
    const Logits exact = Reference(checkpoint, {}).logits(tokens);
    // A value that float32 rounding moves over a boundary of the coarse grids changes a few logits by more: count those that agree.
    const double close = 1e-3 * largest(expected);
    size_t agree = 0, moved = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
      agree += std::fabs(actual[i] - expected[i]) <= close ? 1 : 0;
      moved += std::fabs(exact[i] - expected[i]) > close ? 1 : 0;
    }
    EXPECT_GT(agree, actual.size() * 9 / 10) << golden;
    EXPECT_GT(moved, actual.size() / 10) << golden << ": the rounding has to show";
  }
}

TEST_F(CpuProgram, CountsTheBytesOfAToken) {
  const Engine engine(convert_case({"toy", "Bytes", format(WeightFormat::kFp32)}, directory_.path()), last_position(Program::kCpu));
  const Config& c = Inner::config(engine);
  const ActiveBytes bytes = engine.active_bytes();
  EXPECT_EQ(bytes.head, 4 * c.vocab_size * c.hidden_size);
  EXPECT_EQ(bytes.experts, 4 * c.num_hidden_layers * c.num_experts_per_tok * 3 * c.moe_intermediate_size * c.hidden_size);
  EXPECT_GT(bytes.dense, 4 * c.num_hidden_layers * 3 * c.moe_intermediate_size * c.hidden_size);
  EXPECT_GT(engine.cache_bytes(200), engine.cache_bytes(20));

  // By the part in whose time they are read: the shared expert with the routed ones, the router with its bias.
  const TokenBytes& all = Inner::model(engine).token_bytes;
  const auto part = [](const TokenBytes& counted, ops::OpPart which) { return counted.by_part[static_cast<size_t>(which)]; };
  EXPECT_EQ(std::accumulate(all.by_part.begin(), all.by_part.end(), int64_t{0}), bytes.total());
  EXPECT_EQ(part(all, ops::OpPart::kHead), bytes.head);
  EXPECT_EQ(part(all, ops::OpPart::kExpertsProducts),
            4 * c.num_hidden_layers * (c.num_experts_per_tok + 1) * 3 * c.moe_intermediate_size * c.hidden_size);
  EXPECT_EQ(part(all, ops::OpPart::kExpertsRouter), 4 * c.num_hidden_layers * c.n_routed_experts * (c.hidden_size + 1));
  EXPECT_EQ(part(all, ops::OpPart::kEmbed), 4 * c.hidden_size);
  EXPECT_EQ(part(all, ops::OpPart::kAttentionCore), 4 * c.num_hidden_layers * c.num_attention_heads);
  EXPECT_EQ(part(all, ops::OpPart::kAttentionIndexer), 0);

  // The indexers' queries only from where a token sees more entries than it may select: its (topk + 1)-th ends with the token itself.
  int64_t index_queries = 0, ratio = 0;
  for (const LayerConfig& layer : c.layers) {
    if (layer.kind != LayerKind::kCsa) continue;
    index_queries += 4 * c.index_n_heads * c.index_head_dim * c.q_lora_rank;
    ratio = layer.compress_ratio;
  }
  ASSERT_GT(ratio, 0);
  const int64_t first = (c.index_topk + 1) * ratio - 1;
  EXPECT_EQ(all.at(first).active.total(), bytes.total());
  const TokenBytes before = all.at(first - 1);
  EXPECT_EQ(before.active.total(), bytes.total() - index_queries);
  EXPECT_EQ(part(before, ops::OpPart::kAttentionQueries), part(all, ops::OpPart::kAttentionQueries) - index_queries);
  EXPECT_EQ(Engine(folder_, last_position()).active_bytes().total(), 0);
}

TEST_F(CpuProgram, IsMeasuredByPart) {
  const Engine engine(folder_, last_position(Program::kCpu));
  BenchmarkOptions options;
  options.prompt = 140;
  options.decode = 5;
  options.repeats = 2;
  const Benchmark b = run_benchmark(engine, options);
  EXPECT_GT(b.prefill_seconds, 0.0);
  EXPECT_GT(b.read_bandwidth, 1e8);
  EXPECT_GT(b.far_bandwidth, 1e8);
  EXPECT_GT(b.share_of_bandwidth, 0.0);
  EXPECT_EQ(b.weight_bytes.total(), Inner::model(engine).token_bytes.at(142).active.total());
  int64_t bytes = 0;
  for (const OpSeconds& part : b.decode_by_op) {
    bytes += part.bytes;
    EXPECT_EQ(part.bytes > 0,
              part.part != "between the ops" && (part.part != "attention indexer" || Inner::config(engine).index_topk < 143 / 4))
        << part.part;
  }
  EXPECT_EQ(bytes, b.weight_bytes.total() + b.cache_bytes);
  double sum = 0.0;
  for (const OpSeconds& part : b.prefill_by_op) {
    EXPECT_EQ(part.seconds > 0.0, part.part != "attention indexer" || Inner::config(engine).index_topk < 140 / 4) << part.part;
    sum += part.seconds;
  }
  EXPECT_LT(sum, 2 * b.prefill_seconds);
  options.context = 1000000;
  EXPECT_THAT(error_of([&] { run_benchmark(engine, options); }), HasSubstr("1000000"));
}

TEST_F(CpuProgram, StartsInTheMiddleForMeasurements) {
  Session session{Engine(folder_, last_position(Program::kCpu))};
  Inner::fill_with_noise(session, 200);
  EXPECT_EQ(session.position(), 200);
  const Logits logits = session.feed(Tokens{5});
  EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }));
  EXPECT_EQ(session.position(), 201);
  Session portable{Engine(folder_, last_position())};
  EXPECT_THAT(error_of([&] { Inner::fill_with_noise(portable, 10); }), HasSubstr("portable"));
}

TEST_F(CpuProgram, RefusesADamagedSnapshot) {
  Session session{Engine(folder_, last_position(Program::kCpu))};
  session.feed(Tokens(30, 4));
  Snapshot snapshot = session.save();
  snapshot.states.at("cache").bytes.pop_back();
  EXPECT_THAT(error_of([&] { session.restore(snapshot); }), HasSubstr("damaged"));
  snapshot = session.save();
  snapshot.position = int64_t{1} << 50;
  EXPECT_THAT(error_of([&] { session.restore(snapshot); }), HasSubstr("damaged"));
  EXPECT_EQ(session.position(), 30);
}

}  // namespace
}  // namespace dsv4
