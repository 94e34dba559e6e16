// Several sequences in one inference: each gets the bits that it gets alone, whatever else is in the step; and steps that are refused or fail.
#include "dsv4/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "runtime/converted_model.h"
#include "runtime/failing_op.h"
#include "runtime/inner.h"

namespace dsv4 {
namespace {

using namespace testing_support;
using testing::AllOf;
using testing::HasSubstr;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr size_t kSequences = 8, kTokens = 150;

/// What a sequence has been fed, and what all of it gives alone.
struct Sequence {
  Session session;
  Tokens tokens;
  Logits alone;
  size_t width = 0;

  size_t position() const { return static_cast<size_t>(session.position()); }
  size_t left() const { return tokens.size() - position(); }
  bool is_alone(size_t row, const float* logits) const { return std::memcmp(&alone[row * width], logits, width * sizeof(float)) == 0; }
};

/// Different tokens each, the first ones of each in feeds of its own: so they stand at different positions.
std::vector<Sequence> begin_sequences(const Engine& engine, const Engine& alone, const Tokens& tokens, std::mt19937& random) {
  std::vector<Sequence> all;
  for (size_t i = 0; i < kSequences; ++i) {
    Tokens mine(tokens.begin() + static_cast<std::ptrdiff_t>(17 * i), tokens.begin() + static_cast<std::ptrdiff_t>(17 * i + kTokens));
    Session reference(alone);
    Logits expected = reference.feed(mine);
    all.push_back({Session(engine), std::move(mine), std::move(expected), static_cast<size_t>(engine.vocab_size())});
    Sequence& s = all.back();
    const size_t begun = i == 0 ? 0 : random() % 120;
    if (begun > 0) s.session.feed(std::span(s.tokens).first(begun));
  }
  return all;
}

/// One step of these, `count(s)` tokens of each that has some left.
template <class F>
void step_all(const Engine& engine, std::vector<Sequence>& all, std::mt19937& random, const F& count) {
  std::vector<Step> steps;
  std::vector<Sequence*> members;
  for (Sequence& s : all) {
    const size_t n = std::min(count(s), s.left());
    if (n == 0) continue;
    const StepLogits wanted = n == 1 || random() % 2 == 0 ? StepLogits::kAll : random() % 2 == 0 ? StepLogits::kLast : StepLogits::kNone;
    steps.push_back({s.session, std::span(s.tokens).subspan(s.position(), n), wanted});
    members.push_back(&s);
  }
  if (steps.empty()) return;
  const std::vector<Logits> logits = engine.step(steps);
  ASSERT_EQ(logits.size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    const Sequence& s = *members[i];
    const size_t n = steps[i].tokens.size();
    const size_t rows = steps[i].logits == StepLogits::kNone ? 0 : steps[i].logits == StepLogits::kLast ? 1 : n;
    ASSERT_EQ(logits[i].size(), rows * s.width);
    for (size_t r = 0; r < rows; ++r) {
      ASSERT_TRUE(s.is_alone(s.position() - rows + r, &logits[i][r * s.width])) << "position " << s.position() - rows + r;
    }
  }
}

void expect_the_bits_of_each_alone(const Engine& engine, const Engine& alone, const Tokens& tokens) {
  std::mt19937 random(11);
  std::vector<Sequence> all = begin_sequences(engine, alone, tokens, random);
  const auto any_left = [&] { return std::any_of(all.begin(), all.end(), [](const Sequence& s) { return s.left() > 0; }); };
  for (int i = 0; i < 12; ++i) step_all(engine, all, random, [](const Sequence&) { return size_t{1}; });  // all decode
  for (const size_t few : {size_t{2}, size_t{4}, size_t{3}}) {                                            // some of them
    for (int i = 0; i < 3; ++i) step_all(engine, all, random, [&](const Sequence& s) { return &s < &all[few] ? size_t{1} : size_t{0}; });
  }
  while (any_left() && !testing::Test::HasFatalFailure()) {  // decode beside pieces of the others' prompts
    std::shuffle(all.begin(), all.end(), random);
    step_all(engine, all, random, [&](const Sequence&) {
      return random() % 4 == 0 ? random() % 40 : random() % 3 == 0 ? size_t{0} : size_t{1};
    });
  }
}

EngineOptions options_of(ActivationRounding activations, CachePrecision cache, int threads, WeightMemory weights = WeightMemory::kMap) {
  EngineOptions options;
  options.program = Program::kCpu;
  options.activations = activations;
  options.cache = cache;
  options.threads = threads;
  options.weights = weights;
  options.all_logits = true;
  return options;
}

std::filesystem::path convert_as(const char* golden, WeightFormat format, const std::filesystem::path& directory) {
  ConvertOptions options;
  options.checkpoint = dsv4_test::golden_checkpoint(golden);
  options.output = directory / golden;
  options.compression.format = format;
  options.compression.fallback = GroupSizeFallback::kAdjust;
  convert(options);
  return options.output;
}

Tokens tokens_of(const char* golden) {
  Tokens tokens = dsv4_test::golden_tokens(golden);
  while (tokens.size() < 17 * kSequences + kTokens) tokens.insert(tokens.end(), tokens.begin(), tokens.end());
  return tokens;
}

struct Case {
  const char* golden;
  const char* name;
  WeightFormat format;
};

class StepBits : public testing::TestWithParam<Case> {};

TEST_P(StepBits, AreThoseOfEachSequenceAlone) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_as(GetParam().golden, GetParam().format, directory.path());
  const Tokens tokens = tokens_of(GetParam().golden);
  for (const auto& [activations, cache] :
       {std::pair{ActivationRounding::kInt8, CachePrecision::kBF16}, {ActivationRounding::kF32, CachePrecision::kF32}}) {
    const Engine alone(folder, options_of(activations, cache, 1));
    for (const int threads : {1, 2}) {
      const Engine engine(folder, options_of(activations, cache, threads));
      if (threads == 2) {  // on the other one forms for few rows come while it runs
        for (const int64_t rows : CpuSteps::kFewRows) EXPECT_TRUE(Inner::model(engine).steps->wait_for_form(rows));
      }
      SCOPED_TRACE(threads);
      expect_the_bits_of_each_alone(engine, alone, tokens);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, StepBits,
                         testing::Values(Case{"toy", "Int4", WeightFormat::kInt4}, Case{"toy", "Fp32", WeightFormat::kFp32},
                                         Case{"hash", "Published", WeightFormat::kPublished}, Case{"hash", "Fp16", WeightFormat::kFp16},
                                         Case{"mini", "Int8", WeightFormat::kInt8}, Case{"mini", "Mxfp4", WeightFormat::kMxfp4}),
                         [](const testing::TestParamInfo<Case>& test) { return std::string(test.param.golden) + test.param.name; });

TEST(StepBits, AreTheSameWhereverTheWeightsAre) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_as("hash", WeightFormat::kInt4, directory.path());
  const Tokens tokens = tokens_of("hash");
  const Engine alone(folder, options_of(ActivationRounding::kInt8, CachePrecision::kBF16, 1));
  for (const WeightMemory weights : {WeightMemory::kLoad, WeightMemory::kStream}) {
    SCOPED_TRACE(static_cast<int>(weights));
    EngineOptions options = options_of(ActivationRounding::kInt8, CachePrecision::kBF16, 2, weights);
    if (weights == WeightMemory::kStream) {  // room for the experts of two tokens
      const Engine engine(folder, options);
      const ExpertCache& cache = Inner::model(engine).experts->cache();
      options.expert_cache_bytes = ExpertCache::least_bytes(cache.layout(), Inner::config(engine).num_experts_per_tok);
    }
    expect_the_bits_of_each_alone(Engine(folder, options), alone, tokens);
  }
}

TEST(Steps, AskForEachExpertOfACallOnce) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = convert_as("toy", WeightFormat::kInt4, directory.path());
  const Engine engine(folder, options_of(ActivationRounding::kInt8, CachePrecision::kBF16, 2, WeightMemory::kStream));
  const Config& config = Inner::config(engine);
  const ExpertCache& cache = Inner::model(engine).experts->cache();
  std::vector<Session> sessions;
  for (size_t i = 0; i < kSequences; ++i) sessions.emplace_back(engine);
  const Tokens same(1, 5);  // the same token at the same position goes to the same experts
  std::vector<Step> steps;
  for (Session& session : sessions) steps.push_back({session, same});
  const int64_t before = cache.counts().requests;
  engine.step(steps);
  EXPECT_EQ(cache.counts().requests - before, std::ssize(config.layers) * config.num_experts_per_tok);
}

class SmallSteps : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    folder_ = convert_golden("toy", directory_->path());
    prefill_ = convert_golden("toy", directory_->path(), false);
    tokens_ = dsv4_test::golden_tokens("toy");
  }
  static void TearDownTestSuite() { delete directory_; }

  static Logits alone(const Engine& engine, std::span<const int64_t> tokens) { return Session(engine).feed(tokens); }

  static inline TemporaryDirectory* directory_ = nullptr;
  static inline std::filesystem::path folder_, prefill_;
  static inline Tokens tokens_;
};

TEST_F(SmallSteps, ThatAreRefusedChangeNothing) {
  EngineOptions options = last_position(Program::kCpu);
  options.context = 20;
  const Engine engine(folder_, options), other(folder_, options);
  Session a(engine), b(engine), of_other(other);
  const std::span<const int64_t> some = std::span(tokens_).first(3);
  a.feed(std::span(tokens_).first(18));
  const auto refused = [&](const std::vector<Step>& steps) { return error_of([&] { engine.step(steps); }); };
  EXPECT_THAT(refused({}), HasSubstr("without parts"));
  EXPECT_THAT(refused({{b, some}, {of_other, some}}), HasSubstr("another engine"));
  EXPECT_THAT(refused({{b, some}, {a, some.first(1)}, {b, some}}), HasSubstr("a session twice"));
  EXPECT_THAT(refused({{b, some}, {a, some}}), AllOf(HasSubstr("21 tokens"), HasSubstr("20")));
  EXPECT_THAT(refused({{b, some}, {a, {}}}), HasSubstr("no tokens"));
  for (const int64_t id : {int64_t{-1}, int64_t{512}, INT64_MAX})
    EXPECT_THAT(refused({{b, some}, {a, Tokens{id}}}), HasSubstr("expected an id"));
  EXPECT_EQ(a.position(), 18);
  EXPECT_EQ(b.position(), 0);
  EXPECT_EQ(engine.step(std::vector<Step>{{b, some}})[0], alone(engine, some));
  EXPECT_EQ(a.feed(std::span(tokens_).subspan(18, 2)), alone(engine, std::span(tokens_).first(20)));
}

TEST_F(SmallSteps, OfThePortableProgramRunOneAfterAnother) {
  for (const auto& folder : {folder_, prefill_}) {
    const Engine engine(folder, last_position());
    Session a(engine), b(engine);
    a.feed(std::span(tokens_).first(5));
    const std::vector<Step> steps = {{a, std::span(tokens_).subspan(5, 3)}, {b, std::span(tokens_).first(4), StepLogits::kNone}};
    const std::vector<Logits> logits = engine.step(steps);
    Session expected(engine);
    expected.feed(std::span(tokens_).first(5));
    EXPECT_EQ(logits[0], expected.feed(std::span(tokens_).subspan(5, 3)));
    EXPECT_TRUE(logits[1].empty());
    EXPECT_EQ(b.position(), 4);
    EXPECT_THAT(error_of([&] {
                  engine.step(std::vector<Step>{{a, std::span(tokens_).first(2), StepLogits::kAll}});
                }),
                HasSubstr("all_logits"));
  }
}

TEST_F(SmallSteps, ThatFailLoseTheirSessionsAndNoOthers) {
  for (const auto& [folder, program] : {std::pair{folder_, Program::kCpu}, {folder_, Program::kPortable}, {prefill_, Program::kPortable}}) {
    const Engine engine(folder, every_position(program));
    const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
    const std::shared_ptr<ov::Model> graph = graph_of(engine, folder);
    insert_after(places(*graph).at(5), fault);
    replace_graph(engine, graph);
    Session a(engine), b(engine), c(engine);
    const std::span<const int64_t> first = std::span(tokens_).first(6), next = std::span(tokens_).subspan(6, 1);
    for (Session* session : {&a, &b, &c}) session->feed(first);
    const std::vector<Step> steps = {{a, next}, {b, next}};
    *fault = Fault::kError;
    EXPECT_THAT(error_of([&] { engine.step(steps); }), AllOf(HasSubstr("inference failed"), HasSubstr("FailingOp: told to")));
    *fault = Fault::kNone;
    const Logits expected = c.feed(next);
    EXPECT_EQ(a.position(), 6);
    EXPECT_EQ(b.position(), 6);
    if (engine.stateful()) {
      EXPECT_THAT(error_of([&] { engine.step(steps); }), HasSubstr("state of this session was lost"));
      EXPECT_THAT(error_of([&] { b.feed(next); }), HasSubstr("FailingOp: told to"));
      EXPECT_EQ(a.truncate(6), 6);
      b.reset();
      b.feed(first);
    }
    const std::vector<Logits> found = engine.step(steps);
    EXPECT_EQ(found[0], expected) << "or what the failed step had added is in it";
    EXPECT_EQ(found[1], expected);
  }
}

TEST_F(SmallSteps, OfSeveralThreadsTakeTurns) {
  const Engine engine(folder_, every_position(Program::kCpu));
  const Logits expected = alone(engine, std::span(tokens_).first(60));
  std::vector<std::thread> threads;
  std::vector<Logits> found(6);
  for (size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Session a(engine), b(engine);
      for (size_t at = 0; at < 60;) {  // one token at a time, two, or a piece: other forms
        const size_t n = t == 0 ? 1 : std::min<size_t>(60 - at, t == 1 ? 2 : 7);
        const std::span<const int64_t> piece = std::span(tokens_).subspan(at, n);
        const std::vector<Step> steps = {{a, piece, StepLogits::kAll}, {b, piece, StepLogits::kAll}};
        const std::vector<Logits> logits = engine.step(steps);
        for (size_t i = 0; i < 2; ++i) found[2 * t + i].insert(found[2 * t + i].end(), logits[i].begin(), logits[i].end());
        at += n;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Logits& logits : found) EXPECT_EQ(logits, expected);
}

TEST_F(SmallSteps, WriteTheRoutesOfTheirPartsOneAfterAnother) {
  const std::filesystem::path alone = directory_->path() / "alone.txt", together = directory_->path() / "together.txt";
  EngineOptions options = every_position(Program::kCpu);
  const Tokens first(tokens_.begin(), tokens_.begin() + 4), second(tokens_.begin() + 4, tokens_.begin() + 9);
  options.routes = alone;
  {
    const Engine engine(folder_, options);
    Session a(engine), b(engine);
    a.feed(first);
    b.feed(second);
  }
  options.routes = together;
  {
    const Engine engine(folder_, options);
    Session a(engine), b(engine);
    engine.step(std::vector<Step>{{a, first}, {b, second}});
  }
  EXPECT_FALSE(read_file(alone).empty());
  EXPECT_EQ(read_file(together), read_file(alone));
}

}  // namespace
}  // namespace dsv4
