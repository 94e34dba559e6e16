// Experts that come from the drive: the logits of weights that were loaded, bit for bit, whatever the budget and however reads go; and what is said when they fail.
#include "runtime/streamed_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "checkpoint/synthesize.h"
#include "dsv4/error.h"
#include "dsv4/session.h"
#include "runtime/converted_model.h"
#include "runtime/engine_model.h"
#include "runtime/inner.h"
#include "runtime/read_ir.h"
#include "runtime/weight_choice.h"
#include "support/faulty_io.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using testing::HasSubstr;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr const char* kBin = "openvino_model.bin";

EngineOptions options_with(WeightMemory weights, int threads = 2, int64_t cache_bytes = 0) {
  EngineOptions options;
  options.program = Program::kCpu;
  options.threads = threads;
  options.all_logits = true;
  options.weights = weights;
  options.expert_cache_bytes = cache_bytes;
  return options;
}

const ExpertCache& cache_of(const Engine& engine) { return Inner::model(engine).experts->cache(); }

/// Bytes of all experts' slots, and of two tokens'.
struct Budgets {
  int64_t least = 0, all = 0;
};

Budgets budgets_of(const std::filesystem::path& folder) {
  const Engine engine(folder, options_with(WeightMemory::kStream));
  const ExpertLayout& layout = cache_of(engine).layout();
  return {ExpertCache::least_bytes(layout, Inner::config(engine).num_experts_per_tok),
          static_cast<int64_t>(layout.layers() * layout.experts() * layout.slot_bytes())};
}

/// A prompt, single tokens, and a few at a time.
Logits feed_all(Session& session, const Tokens& tokens) {
  return feed_in_parts(session, tokens, {40, 1, 1, 1, 1, 1, 1, 1, 1, 3, 9, 1, 1, 1, 1});
}

struct Case {
  const char* golden;  ///< "odd": a synthetic model of 7 experts whose parts begin anywhere
  const char* name;
  WeightFormat format;
};

std::filesystem::path convert_case(const Case& c, const std::filesystem::path& directory) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint(std::string(c.golden) == "odd" ? "hash" : c.golden);
  if (std::string(c.golden) == "odd") {
    const std::filesystem::path config = directory / "config.json";
    write_file(config, read_file(options.checkpoint / "config.json"));
    change_json(config, {{"n_routed_experts", 7}, {"moe_intermediate_size", 96}});
    options.checkpoint = directory / "checkpoint";
    synthesize({.preset_or_config = config.string(), .output = options.checkpoint});
  }
  options.output = directory / "model";
  options.compression.format = c.format;
  options.compression.fallback = GroupSizeFallback::kAdjust;
  convert(options);
  return options.output;
}

Tokens tokens_of(size_t count) {
  Tokens tokens;
  for (size_t i = 0; i < count; ++i) tokens.push_back(static_cast<int64_t>(i * 7919 % 250));
  return tokens;
}

class StreamedExpertsBits : public testing::TestWithParam<Case> {};

TEST_P(StreamedExpertsBits, AreThoseOfLoadedWeights) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_case(GetParam(), directory.path());
  const Tokens tokens = tokens_of(90);
  Session loaded(Engine(folder, options_with(WeightMemory::kLoad)));
  const Logits expected = feed_all(loaded, tokens);
  const Budgets budgets = budgets_of(folder);
  for (const int64_t budget : {budgets.least, (budgets.least + budgets.all) / 2, budgets.all}) {
    for (const int threads : {1, 2}) {
      const FaultyIo faulty(kBin, {.delay = threads == 1 ? 0 : 200});
      const Engine engine(folder, options_with(WeightMemory::kStream, threads, budget));
      Session session(engine);
      EXPECT_EQ(feed_all(session, tokens), expected) << budget << " bytes, " << threads << " threads";
      EXPECT_LE(cache_of(engine).resident_bytes(), budget);
      EXPECT_EQ(cache_of(engine).counts().in_place, 0);
      EXPECT_GT(cache_of(engine).counts().bytes_read, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, StreamedExpertsBits,
                         testing::Values(Case{"toy", "Int4", WeightFormat::kInt4}, Case{"hash", "Mxfp4", WeightFormat::kMxfp4},
                                         Case{"mini", "Int8", WeightFormat::kInt8}, Case{"toy", "Fp16", WeightFormat::kFp16},
                                         Case{"hash", "Published", WeightFormat::kPublished}, Case{"odd", "Int4", WeightFormat::kInt4},
                                         Case{"odd", "Int8", WeightFormat::kInt8}, Case{"odd", "Mxfp4", WeightFormat::kMxfp4}),
                         [](const testing::TestParamInfo<Case>& test) { return std::string(test.param.golden) + test.param.name; });

class StreamedModel : public testing::Test {
 protected:
  StreamedModel() : folder_(convert_case({"hash", "", WeightFormat::kInt4}, directory_.path())), budgets_(budgets_of(folder_)) {}

  EngineOptions streamed(int64_t budget) const { return options_with(WeightMemory::kStream, 2, budget); }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
  Budgets budgets_;
  Tokens tokens_ = tokens_of(90);
};

TEST_F(StreamedModel, ServesTwoSessionsInTurn) {
  const Engine loaded(folder_, options_with(WeightMemory::kLoad)), engine(folder_, streamed(budgets_.least));
  Session a(loaded), b(loaded), c(engine), d(engine);
  Tokens reversed(tokens_.rbegin(), tokens_.rend());
  for (size_t i = 0; i < 60; ++i) {
    const std::span<const int64_t> first(&tokens_[i], 1), second(&reversed[i], 1);
    ASSERT_EQ(c.feed(first), a.feed(first));
    ASSERT_EQ(d.feed(second), b.feed(second));
  }
}

TEST_F(StreamedModel, ReadsBufferedWhereDirectReadsAreRefused) {
  Session loaded(Engine(folder_, options_with(WeightMemory::kLoad)));
  const Logits expected = feed_all(loaded, tokens_);
  for (const Faults& faults :
       {Faults{.refuse_direct_open = true}, Faults{.refuse_direct_reads = true}, Faults{.short_reads = true, .refuse_direct_open = true},
        Faults{.short_reads = true, .hide_alignment = true}, Faults{.hide_alignment = true}}) {
    const FaultyIo faulty(kBin, faults);
    EngineOptions options = streamed(3 * budgets_.least);  // small parts take more slots where blocks are larger
    std::vector<std::string> notices;
    options.notice = [&](const std::string& line) { notices.push_back(line); };
    const Engine engine(folder_, options);
    Session session(engine);
    EXPECT_EQ(feed_all(session, tokens_), expected);
    const bool refused = faults.refuse_direct_open || faults.refuse_direct_reads;
    // A direct read that ends inside its first block cannot be gone on with: then they are buffered too.
    if (refused || !faults.short_reads) {
      EXPECT_THAT(notices, testing::Contains(HasSubstr(refused ? "reads are buffered" : "reads are direct")));
    }
  }
}

TEST_F(StreamedModel, SaysThatTheDriveFailedAndGoesOnAfterIt) {
  Session loaded(Engine(folder_, options_with(WeightMemory::kLoad)));
  const Logits expected = feed_all(loaded, tokens_);
  const Engine engine(folder_, streamed(budgets_.least));
  Session session(engine);
  {
    const FaultyIo faulty(kBin, {.eio = -1, .after = 5});
    EXPECT_THAT(error_of([&] { feed_all(session, tokens_); }), AllOf(HasSubstr(kBin), HasSubstr("Input/output error")));
    EXPECT_THAT(error_of([&] { feed_all(session, tokens_); }), HasSubstr("reset it"));
  }
  session.reset();
  EXPECT_EQ(feed_all(session, tokens_), expected);
  session.reset();
  const FaultyIo once(kBin, {.eio = 1, .after = 3});
  EXPECT_EQ(feed_all(session, tokens_), expected);
}

TEST_F(StreamedModel, SaysThatTheFileBecameShorter) {
  const Engine engine(folder_, streamed(budgets_.least));
  Session session(engine);
  session.feed(std::span(tokens_).first(1));
  std::filesystem::resize_file(folder_ / kBin, 8192);
  EXPECT_THAT(error_of([&] { feed_all(session, tokens_); }), AllOf(HasSubstr(kBin), HasSubstr("became shorter")));
}

TEST_F(StreamedModel, KeepsTheOldFileWhereANewOneTakesItsName) {
  Session loaded(Engine(folder_, options_with(WeightMemory::kLoad)));
  const Logits expected = feed_all(loaded, tokens_);
  const Engine engine(folder_, streamed(budgets_.least));
  Session session(engine);
  write_file(directory_.path() / "other", "no weights");
  std::filesystem::rename(directory_.path() / "other", folder_ / kBin);
  EXPECT_EQ(feed_all(session, tokens_), expected);
}

TEST_F(StreamedModel, RefusesABudgetThatDoesNotDo) {
  EXPECT_THAT(error_of([&] { Engine(folder_, streamed(budgets_.least - 1)); }),
              AllOf(HasSubstr("too small: the experts of two tokens take"), HasSubstr("give --expert-cache more")));
  EngineOptions portable = streamed(0);
  portable.program = Program::kPortable;
  EXPECT_THAT(error_of([&] { Engine(folder_, portable); }), HasSubstr("--weights stream is for the CPU program"));
  EngineOptions mapped = options_with(WeightMemory::kMap, 2, budgets_.all);
  EXPECT_THAT(error_of([&] { Engine(folder_, mapped); }), HasSubstr("--expert-cache is for --weights stream"));
}

TEST_F(StreamedModel, ReadsEachExpertOfAPromptOnce) {
  const Engine engine(folder_, streamed(budgets_.least));
  Session session(engine);
  session.feed(tokens_of(2000), engine.prompt_chunk());
  const ExpertCounts counts = cache_of(engine).counts();
  const ExpertLayout& layout = cache_of(engine).layout();
  EXPECT_EQ(counts.requests, static_cast<int64_t>(layout.layers() * layout.experts()));
  EXPECT_LE(counts.bytes_read, counts.requests * static_cast<int64_t>(layout.slot_bytes()));
}

TEST_F(StreamedModel, IsMappedByItselfWhereItFitsAndWhereEvenTwoTokensDoNot) {
  const std::shared_ptr<ov::Model> ir = read_ir(folder_);
  for (const auto& [available, lines] : {std::pair<uint64_t, size_t>{uint64_t{1} << 40, 0}, {100000, 1}}) {
    Engine::Model model;
    std::vector<std::string> notices;
    model.config = read_config(folder_);
    model.options.notice = [&](const std::string& line) { notices.push_back(line); };
    settle_weight_memory(model, *ir, available);
    EXPECT_EQ(model.options.weights, WeightMemory::kMap);
    ASSERT_EQ(notices.size(), lines);
    if (lines > 0) {
      EXPECT_THAT(notices[0], AllOf(HasSubstr("too much for the 100.00 kB"), HasSubstr("page faults")));
    }
  }
}

TEST(ExpertBudget, MapsWhatFitsAndStreamsWhatDoesNot) {
  EXPECT_TRUE(fits_mapped(89, 100));
  EXPECT_FALSE(fits_mapped(9100, 10000));
  EXPECT_TRUE(fits_mapped(8900, 10000));
  EXPECT_EQ(memory_reserve(64000000000), 6400000000u);
  EXPECT_EQ(memory_reserve(4000000000), 1000000000u);
  EXPECT_EQ(expert_budget(64000000000, {.dense = 6000000000, .sequence = 1000000000, .working = 600000000}), 50000000000);
}

}  // namespace
}  // namespace dsv4
