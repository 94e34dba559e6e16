// Sessions on the converted toy: what they refuse, positions, splits, reset, snapshots.
#include "dsv4/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "runtime/check_tokens.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr int64_t kVocabulary = 512;

Tokens toy_tokens(size_t count) {
  Tokens tokens = dsv4_test::golden_tokens("toy");
  tokens.resize(count);
  return tokens;
}

Logits rows_of(const Logits& logits, size_t begin, size_t end) {
  return {logits.begin() + static_cast<std::ptrdiff_t>(begin * kVocabulary),
          logits.begin() + static_cast<std::ptrdiff_t>(end * kVocabulary)};
}

/// What runs: the two forms of the portable program, and the CPU program with nothing rounded.
enum class Form { kStateful, kPrefillOnly, kCpu };

class Toy : public testing::TestWithParam<Form> {
 protected:
  Toy() : folder_(convert_golden("toy", directory_.path(), GetParam() != Form::kPrefillOnly)) {}

  static EngineOptions of_last_position() { return last_position(GetParam() == Form::kCpu ? Program::kCpu : Program::kPortable); }
  static EngineOptions of_every_position() { return every_position(GetParam() == Form::kCpu ? Program::kCpu : Program::kPortable); }

  TemporaryDirectory directory_;
  std::filesystem::path folder_;
};

std::string form_name(const testing::TestParamInfo<Form>& p) {
  return p.param == Form::kStateful ? "Stateful" : p.param == Form::kPrefillOnly ? "PrefillOnly" : "Cpu";
}

TEST_P(Toy, GivesTheGoldenLogits) {
  const Engine engine(folder_, of_every_position());
  EXPECT_EQ(engine.stateful(), GetParam() != Form::kPrefillOnly);
  Session session(engine);
  const Tokens tokens = dsv4_test::golden_tokens("toy");
  const Logits logits = session.feed(tokens);
  EXPECT_EQ(session.position(), static_cast<int64_t>(tokens.size()));
  EXPECT_LT(largest_difference(logits, toy_golden().f32("logits_reference")), kGoldenTolerance);
}

TEST_P(Toy, GivesTheSameInAnyNumberOfCalls) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(150);
  const Logits expected = rows_of(toy_golden().f32("logits_reference"), 0, tokens.size());
  Session session(engine);
  Logits logits;
  int64_t position = 0;
  for (const size_t length : {1u, 1u, 5u, 60u, 1u, 82u}) {
    const Logits part = session.feed(std::span(tokens).subspan(static_cast<size_t>(position), length));
    EXPECT_EQ(part.size(), length * kVocabulary);
    logits.insert(logits.end(), part.begin(), part.end());
    position += static_cast<int64_t>(length);
    EXPECT_EQ(session.position(), position);
  }
  EXPECT_LT(largest_difference(logits, expected), kGoldenTolerance);
}

TEST_P(Toy, GivesTheLastRowAloneWhenAsked) {
  const Engine engine(folder_, of_last_position());
  const Tokens tokens = toy_tokens(70);
  const Logits golden = toy_golden().f32("logits_reference");
  Session session(engine);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens).first(40), 16), rows_of(golden, 39, 40)), kGoldenTolerance);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens).subspan(40)), rows_of(golden, 69, 70)), kGoldenTolerance);
}

TEST_P(Toy, RefusesTokensOutsideTheVocabulary) {
  const Engine engine(folder_, of_last_position());
  Session session(engine);
  for (const int64_t id : {int64_t{-1}, kVocabulary, int64_t{1} << 40}) {
    const std::string message = error_of([&] { session.feed(Tokens{5, 6, id, 7}); });
    EXPECT_THAT(message, AllOf(HasSubstr("token 2 is " + std::to_string(id)), HasSubstr("0 to 511")));
  }
  EXPECT_THAT(error_of([&] { session.feed(Tokens{}); }), HasSubstr("no tokens"));
  EXPECT_THAT(error_of([&] { session.feed(Tokens{1}, 0); }), HasSubstr("chunk size 0"));
  EXPECT_EQ(session.position(), 0);
  session.feed(Tokens{0, kVocabulary - 1});
  EXPECT_EQ(session.position(), 2);
}

TEST_P(Toy, IsLeftAsItWasByWhatItRefuses) {
  const Engine engine(folder_, of_last_position());
  const Tokens tokens = toy_tokens(21);
  Session session(engine);
  session.feed(std::span(tokens).first(20));
  EXPECT_THROW(session.feed(Tokens{3, 4, 5, -7}), Error);
  EXPECT_EQ(session.position(), 20);
  const Logits golden = rows_of(toy_golden().f32("logits_reference"), 20, 21);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens).last(1)), golden), kGoldenTolerance);
}

TEST_P(Toy, RefusesMorePositionsThanTheModelHas) {
  set_in_config(folder_, "max_position_embeddings", 10);
  const Engine engine(folder_, of_last_position());
  Session session(engine);
  EXPECT_THAT(error_of([&] { session.feed(toy_tokens(11)); }), AllOf(HasSubstr("11 tokens"), HasSubstr("10")));
  EXPECT_EQ(session.position(), 0);
  session.feed(toy_tokens(9));
  session.feed(Tokens{1});
  EXPECT_THAT(error_of([&] { session.feed(Tokens{1}); }), HasSubstr("11 tokens"));
  EXPECT_EQ(session.position(), 10);
  session.reset();
  EXPECT_EQ(session.feed(toy_tokens(10)).size(), static_cast<size_t>(kVocabulary));
}

TEST_P(Toy, StartsAnewAfterReset) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(40);
  const Logits golden = rows_of(toy_golden().f32("logits_reference"), 0, 40);
  Session session(engine);
  session.feed(Tokens(140, 77));
  session.reset();
  EXPECT_EQ(session.position(), 0);
  EXPECT_LT(largest_difference(session.feed(tokens), golden), kGoldenTolerance);
  session.reset();
  EXPECT_LT(largest_difference(session.feed(tokens, 9), golden), kGoldenTolerance);
}

TEST_P(Toy, GoesOnFromASnapshot) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(180);
  const Logits golden = toy_golden().f32("logits_reference");
  Session session(engine);
  session.feed(std::span(tokens).first(131));  // past the window and a block of 128, within one of 4
  const Snapshot snapshot = session.save();
  EXPECT_EQ(snapshot.position, 131);

  session.feed(Tokens(60, 9));  // another continuation: the snapshot is a copy of its own
  session.restore(snapshot);
  EXPECT_EQ(session.position(), 131);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens).subspan(131)), rows_of(golden, 131, 180)), kGoldenTolerance);

  Session other(engine);
  other.feed(Tokens(300, 5));
  other.restore(snapshot);
  EXPECT_LT(largest_difference(other.feed(std::span(tokens).subspan(131), 7), rows_of(golden, 131, 180)), kGoldenTolerance);

  session.reset();  // and a snapshot outlives a reset
  session.restore(snapshot);
  EXPECT_LT(largest_difference(session.feed(std::span(tokens).subspan(131, 1)), rows_of(golden, 131, 132)), kGoldenTolerance);
}

TEST_P(Toy, RestoresTheEmptySequence) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(12);
  const Logits golden = rows_of(toy_golden().f32("logits_reference"), 0, 12);
  Session session(engine);
  const Snapshot empty = session.save();
  EXPECT_EQ(empty.position, 0);
  session.feed(Tokens(33, 2));
  session.restore(empty);
  EXPECT_EQ(session.position(), 0);
  EXPECT_LT(largest_difference(session.feed(tokens), golden), kGoldenTolerance);
  session.reset();
  const Snapshot after_reset = session.save();
  session.feed(Tokens(5, 3));
  session.restore(after_reset);
  EXPECT_LT(largest_difference(session.feed(tokens), golden), kGoldenTolerance);
}

TEST_P(Toy, SessionsOfOneEngineAreIndependent) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(60);
  const Logits golden = toy_golden().f32("logits_reference");
  Session one(engine), other(engine);
  one.feed(std::span(tokens).first(30));
  other.feed(Tokens(50, 100));
  EXPECT_LT(largest_difference(one.feed(std::span(tokens).subspan(30)), rows_of(golden, 30, 60)), kGoldenTolerance);
  other.reset();
  EXPECT_LT(largest_difference(other.feed(tokens), rows_of(golden, 0, 60)), kGoldenTolerance);
}

TEST_P(Toy, ForksGoOnFromTheSamePlaceAndPartWays) {
  const Engine engine(folder_, of_every_position());
  const Tokens tokens = toy_tokens(180);
  const Logits golden = toy_golden().f32("logits_reference");
  Session session(engine);
  session.feed(std::span(tokens).first(131));
  Session fork = session.fork();
  EXPECT_EQ(fork.position(), 131);
  session.feed(Tokens(20, 9));
  EXPECT_LT(largest_difference(fork.feed(std::span(tokens).subspan(131)), rows_of(golden, 131, 180)), kGoldenTolerance);
  EXPECT_EQ(session.position(), 151);
}

TEST_P(Toy, SessionsOutliveTheEngineObject) {
  auto engine = std::make_unique<Engine>(folder_, of_every_position());
  Session session(*engine);
  engine.reset();
  const Tokens tokens = toy_tokens(10);
  EXPECT_LT(largest_difference(session.feed(tokens), rows_of(toy_golden().f32("logits_reference"), 0, 10)), kGoldenTolerance);
}

/// Two threads with a session each, one fed whole and one in pieces; the worst differences from the golden.
std::array<double, 2> run_two_at_once(const Engine& engine) {
  const Tokens tokens = toy_tokens(90);
  const Logits golden = rows_of(toy_golden().f32("logits_reference"), 0, 90);
  std::array<double, 2> worst{};
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      Session session(engine);
      for (int round = 0; round < 3; ++round) {
        worst[i] = std::max(worst[i], largest_difference(session.feed(tokens, i == 0 ? 90 : 7), golden));
        session.reset();
      }
    });
  }
  threads.clear();
  return worst;
}

TEST_P(Toy, TwoThreadsRunTwoSessionsAtOnce) {
  const std::array<double, 2> worst = run_two_at_once(Engine(folder_, of_every_position()));
  EXPECT_LT(worst[0], kGoldenTolerance);
  EXPECT_LT(worst[1], kGoldenTolerance);
}

// Without the threads of OpenVINO, whose synchronisation ThreadSanitizer cannot see: what this reports there is ours.
TEST_P(Toy, TwoThreadsRunTwoSessionsOfOneThreadEach) {
  EngineOptions options = of_every_position();
  options.threads = 1;
  const std::array<double, 2> worst = run_two_at_once(Engine(folder_, options));
  EXPECT_LT(worst[0], kGoldenTolerance);
  EXPECT_LT(worst[1], kGoldenTolerance);
}

INSTANTIATE_TEST_SUITE_P(Forms, Toy, testing::Values(Form::kStateful, Form::kPrefillOnly, Form::kCpu), form_name);

TEST(Snapshot, OfAnotherModelIsRefusedAndChangesNothing) {
  const TemporaryDirectory directory;
  const Engine whole(convert_golden("toy", directory.path()), every_position());
  const Engine cut(convert_golden("toy", directory.path(), true, 2), every_position());
  const Tokens tokens = toy_tokens(20);
  Session of_whole(whole), of_cut(cut);
  of_whole.feed(std::span(tokens).first(11));
  of_cut.feed(std::span(tokens).first(5));

  EXPECT_THAT(error_of([&] { of_whole.restore(of_cut.save()); }), HasSubstr("another model"));
  EXPECT_EQ(of_whole.position(), 11);
  const Logits golden = rows_of(toy_golden().f32("logits_reference"), 11, 20);
  EXPECT_LT(largest_difference(of_whole.feed(std::span(tokens).subspan(11)), golden), kGoldenTolerance);

  EXPECT_THAT(error_of([&] { of_cut.restore(of_whole.save()); }), HasSubstr("another model"));
  EXPECT_EQ(of_cut.position(), 5);
}

TEST(CheckTokens, NamesTheFirstWrongOne) {
  EXPECT_THAT(error_of([] {
                check_tokens(Tokens{1, 9, 10, 11}, 10, "--tokens");
              }),
              AllOf(HasSubstr("--tokens"), HasSubstr("token 2 is 10")));
  EXPECT_THAT(error_of([] { check_tokens(Tokens{}, 10, "--tokens"); }), HasSubstr("no tokens"));
  EXPECT_EQ(error_of([] { check_tokens(Tokens{0, 9}, 10, "--tokens"); }), "");
}

}  // namespace
}  // namespace dsv4
