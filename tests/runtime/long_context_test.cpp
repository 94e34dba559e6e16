// Long contexts with the releases' window, top-k, rates and YaRN on a tiny model: both programs against the reference, and against the float64 oracle's rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tiny_checkpoint.h"
#include "dsv4/session.h"
#include "reference/compare.h"
#include "reference/near_ties.h"
#include "reference/reference.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr int64_t kLastRows = 64;
constexpr double kTolerance = 1e-4;  // of the largest logit, as `dsv4 verify` has it

fs::path checkpoint_directory() { return dsv4_test::data_directory() / "oracle" / "long"; }

/// What tests/data/oracle/make_long.py made.
struct OracleRows {
  OracleRows() {
    const dsv4_test::GoldenData data(checkpoint_directory() / "expected.safetensors");
    tokens = data.i64("tokens");
    logits = data.f32("logits");
  }
  Tokens tokens;  // [4096]
  Logits logits;  // [64,V]
};

class LongContext : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    ConvertOptions options;
    options.checkpoint = checkpoint_directory();
    options.output = directory_->path() / "long";
    convert(options);
    folder_ = options.output;
  }
  static void TearDownTestSuite() { delete directory_; }

  explicit LongContext(const fs::path& checkpoint = checkpoint_directory())
      : checkpoint_(Checkpoint::open(checkpoint)), vocab_(checkpoint_.config().vocab_size) {}

  Tokens random_tokens(int64_t count) const {
    std::mt19937_64 random(static_cast<uint64_t>(count));
    Tokens tokens(static_cast<size_t>(count));
    for (int64_t& token : tokens) token = static_cast<int64_t>(random() % static_cast<uint64_t>(vocab_));
    return tokens;
  }

  /// Logits of every token, in the program's default pieces.
  Logits logits(Program program, std::span<const int64_t> tokens) const {
    Session session{Engine(folder_, every_position(program))};
    return session.feed(tokens);
  }

  Logits part_of(const Logits& logits, int64_t begin, int64_t end) const {
    return {logits.begin() + begin * vocab_, logits.begin() + end * vocab_};
  }

  /// Every row: the reference makes near ties as `actual` did, in at most 1 % of the rows.
  JudgedLogits judged(const Reference& reference, const Tokens& tokens, const ReferenceRows& rows, const Logits& actual) const {
    constexpr int64_t kStep = 4096;
    LogitComparison first(vocab_);
    for (int64_t begin = 0; begin < rows.count; begin += kStep) {
      const int64_t end = std::min(rows.count, begin + kStep);
      first.add(reference.logits_of(rows, begin, end), part_of(actual, begin, end));
    }
    return judge_logits(reference, tokens, rows, first, kTolerance, kStep,
                        [&](int64_t begin, int64_t end) { return part_of(actual, begin, end); });
  }

  void expect_the_references(const Reference& reference, const Tokens& tokens, const ReferenceRows& rows, const Logits& actual) const {
    const JudgedLogits found = judged(reference, tokens, rows, actual);
    EXPECT_TRUE(found.passed) << rows.count << " tokens: " << found.difference.max << " of " << found.allowed << ", near ties "
                              << found.near_ties << " of " << found.near_ties_allowed;
  }

  /// None of the oracle's 64 rows is a near tie.
  void expect_the_oracles(const OracleRows& oracle, std::span<const float> actual) const {
    const LogitDifference found = compare_logits(oracle.logits, actual, vocab_);
    EXPECT_EQ(found.rows, kLastRows);
    EXPECT_LE(found.max, kTolerance * found.max_logit);
  }

  /// What was fed before does not depend on how, nor on being saved and restored; `expect_equal(actual, expected)` judges kLastRows rows.
  template <class F>
  void expect_any_split_and_a_restored_state(Program program, const Tokens& tokens, const F& expect_equal) {
    const int64_t count = std::ssize(tokens) - kLastRows;
    const auto prompt = std::span(tokens).first(static_cast<size_t>(count)), rest = std::span(tokens).subspan(static_cast<size_t>(count));
    const Engine engine(folder_, every_position(program));
    Session session(engine);
    for (size_t begin = 0; begin < prompt.size(); begin += 4096)
      session.feed(prompt.subspan(begin, std::min<size_t>(4096, prompt.size() - begin)));
    const Snapshot snapshot = session.save();
    const Logits expected = session.feed(rest);

    Session restored(engine);
    restored.restore(snapshot);
    EXPECT_EQ(restored.position(), count);
    EXPECT_EQ(restored.feed(rest), expected) << "the same pieces from the same state are the same bits";
    for (const size_t length : {1, 7, 32}) {
      restored.restore(snapshot);
      Logits parts;
      for (size_t begin = 0; begin < rest.size(); begin += length) {
        const Logits part = restored.feed(rest.subspan(begin, std::min(length, rest.size() - begin)));
        parts.insert(parts.end(), part.begin(), part.end());
      }
      SCOPED_TRACE(testing::Message() << "pieces of " << length);
      expect_equal(parts, expected);
    }

    Session uneven(engine);  // other pieces all the way
    for (size_t begin = 0, length = 1000; begin < prompt.size(); begin += length, length = length % 3001 + 37) {
      length = std::min(length, prompt.size() - begin);
      uneven.feed(prompt.subspan(begin, length), 320);
    }
    SCOPED_TRACE("other pieces all the way");
    expect_equal(uneven.feed(rest), expected);
  }

  static inline TemporaryDirectory* directory_ = nullptr;
  static inline fs::path folder_;
  Checkpoint checkpoint_;
  int64_t vocab_;
};

using Full_LongContext = LongContext;

TEST_F(LongContext, TheLastRowsOf4096TokensAreTheOracles) {
  const OracleRows oracle;
  ASSERT_EQ(oracle.tokens.size(), 4096u);
  ASSERT_EQ(static_cast<int64_t>(oracle.logits.size()), kLastRows * vocab_);
  const Reference reference(checkpoint_);
  const ReferenceRows rows = reference.rows(oracle.tokens);
  expect_the_oracles(oracle, reference.logits_of(rows, rows.count - kLastRows, rows.count));
  const Logits cpu = logits(Program::kCpu, oracle.tokens);
  expect_the_oracles(oracle, std::span(cpu).last(oracle.logits.size()));
  expect_the_references(reference, oracle.tokens, rows, cpu);
}

TEST_F(Full_LongContext, ThePortableProgramsLastRowsOf4096TokensAreTheOracles) {
  const OracleRows oracle;
  const Reference reference(checkpoint_);
  const ReferenceRows rows = reference.rows(oracle.tokens);
  const Logits portable = logits(Program::kPortable, oracle.tokens);
  expect_the_oracles(oracle, std::span(portable).last(oracle.logits.size()));
  expect_the_references(reference, oracle.tokens, rows, portable);
}

TEST_F(Full_LongContext, AllRowsOf16384TokensAreTheReferencesButForNearTies) {
  const Tokens tokens = random_tokens(16384);
  const Reference reference(checkpoint_);
  const ReferenceRows rows = reference.rows(tokens);
  for (const Program program : {Program::kCpu, Program::kPortable}) {
    SCOPED_TRACE(program == Program::kCpu ? "CPU program" : "portable program");
    expect_the_references(reference, tokens, rows, logits(program, tokens));
  }
}

TEST_F(Full_LongContext, TheCpuProgramTakesAnySplitAndARestoredStateAt100000) {
  expect_any_split_and_a_restored_state(Program::kCpu, random_tokens(100000 + kLastRows), [](const Logits& actual, const Logits& expected) {
    EXPECT_EQ(actual, expected) << "the same bits";
  });
}

/// The last rows of much longer sequences: so many near ties are on the way of all rows that only a model in which no row's choice moves another can be
/// compared. Its layers are those of the checkpoint, a hash-routed one with the window, a hash-routed one of ratio 128, and last the one with the indexer.
class Full_LastRows : public LongContext {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    ConvertOptions options;
    options.checkpoint = directory_->path() / "checkpoint";
    write_checkpoint(options.checkpoint);
    options.output = directory_->path() / "last";
    convert(options);
    folder_ = options.output;
  }

  Full_LastRows() : LongContext(directory_->path() / "checkpoint") {}

  static void write_checkpoint(const fs::path& directory) {
    nlohmann::json config = dsv4_test::read_json(checkpoint_directory() / "config.json");
    config.merge_patch({{"num_hidden_layers", 3}, {"num_hash_layers", 2}, {"compress_ratios", {0, 128, 4}}});
    std::vector<test::RawTensor> tensors;
    const auto add = [&](test::RawTensor tensor, const std::string& from, const std::string& to) {
      if (!from.empty()) tensor.name.replace(0, from.size(), to);
      tensors.push_back(std::move(tensor));
    };
    for (const test::RawTensor& tensor : test::read_raw_file(checkpoint_directory() / "model.safetensors")) {
      const std::string& name = tensor.name;
      if (name.ends_with("tid2eid")) add(tensor, "layers.0.", "layers.1.");  // the hash table of both
      if (name.starts_with("layers.2.")) {
        if (!name.ends_with("gate.bias")) add(tensor, "layers.2.", "layers.1.");
      } else if (name.starts_with("layers.3.")) {
        add(tensor, "layers.3.", "layers.2.");
      } else if (!name.starts_with("layers.1.")) {
        add(tensor, "", "");
      }
    }
    test::write_checkpoint(directory, config.dump(), tensors);
  }

  void expect_the_last_rows(Program program, int64_t count) const {
    const Tokens tokens = random_tokens(count);
    const Reference reference(checkpoint_, {.last_rows = kLastRows});
    const ReferenceRows rows = reference.rows(tokens);
    const Logits expected = reference.logits_of(rows, count - kLastRows, count);
    const Logits all = logits(program, tokens);
    expect_equal_but_for_near_ties(rows, std::span(all).last(expected.size()), expected);
  }

  /// The last rows of `rows.count`: at most one differs, and the reference finds a choice of that row close.
  void expect_equal_but_for_near_ties(const ReferenceRows& rows, std::span<const float> actual, std::span<const float> expected) const {
    LogitComparison comparison(vocab_);
    comparison.add(expected, actual);
    int64_t near_ties = 0;
    for (size_t i = 0; i < comparison.rows().size(); ++i) {
      const int64_t row = rows.count - kLastRows + static_cast<int64_t>(i);
      const LogitDifference& found = comparison.rows()[i];
      if (found.max <= kTolerance * comparison.all().max_logit) continue;
      ++near_ties;
      EXPECT_TRUE(
          std::any_of(rows.close.begin(), rows.close.end(), [&](const CloseChoice& c) { return c.choice.row == row && c.margin < 100.0; }))
          << "row " << row << " differs by " << found.max << " and has no near tie";
    }
    EXPECT_LE(near_ties, 1);
  }
};

TEST_F(Full_LastRows, Of4096Tokens) {
  for (const Program program : {Program::kCpu, Program::kPortable}) expect_the_last_rows(program, 4096);
}

TEST_F(Full_LastRows, Of70000TokensByTheCpuProgram) { expect_the_last_rows(Program::kCpu, 70000); }

TEST_F(Full_LastRows, Of70000TokensByThePortableProgram) { expect_the_last_rows(Program::kPortable, 70000); }

TEST_F(Full_LastRows, Of131072TokensByTheCpuProgram) { expect_the_last_rows(Program::kCpu, 131072); }

TEST_F(Full_LastRows, Of131072TokensByThePortableProgram) { expect_the_last_rows(Program::kPortable, 131072); }

// Two splits round differently in the portable program, so that a near tie may fall either way: in this model it moves no other row.
TEST_F(Full_LastRows, ThePortableProgramTakesAnySplitAndARestoredStateAt100000) {
  const Tokens tokens = random_tokens(100000 + kLastRows);
  const ReferenceRows rows = Reference(checkpoint_, {.last_rows = kLastRows}).rows(tokens);
  expect_any_split_and_a_restored_state(Program::kPortable, tokens, [&](const Logits& actual, const Logits& expected) {
    expect_equal_but_for_near_ties(rows, actual, expected);
  });
}

}  // namespace
}  // namespace dsv4
