// Ways back of a session, by what they refuse and what they leave: rewind, keep and truncate, cancelled feeding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stop_token>

#include "dsv4/session.h"
#include "runtime/converted_model.h"

namespace dsv4 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace testing_support;
using Tokens = std::vector<int64_t>;
using Logits = std::vector<float>;

constexpr size_t kVocabulary = 512;

enum class Form { kStateful, kPrefillOnly, kCpu };

class GoingBack : public testing::TestWithParam<Form> {
 protected:
  /// Opened once for all tests of a form.
  struct Loaded {
    explicit Loaded(Form form)
        : engine(convert_golden("toy", directory.path(), form != Form::kPrefillOnly),
                 every_position(form == Form::kCpu ? Program::kCpu : Program::kPortable)) {}
    TemporaryDirectory directory;
    Engine engine;
  };
  static std::map<Form, std::unique_ptr<Loaded>>& loaded() {
    static std::map<Form, std::unique_ptr<Loaded>> loaded;
    return loaded;
  }
  static const Engine& engine_of(Form form) {
    std::unique_ptr<Loaded>& model = loaded()[form];
    if (!model) model = std::make_unique<Loaded>(form);
    return model->engine;
  }
  /// Models must be gone before OpenVINO's own static objects are.
  static void TearDownTestSuite() { loaded().clear(); }

  std::span<const int64_t> tokens(size_t begin, size_t end) const { return std::span(tokens_).subspan(begin, end - begin); }

  void expect_golden_rows(const Logits& logits, size_t begin) const {
    const auto from = golden_.begin() + static_cast<std::ptrdiff_t>(begin * kVocabulary);
    const Logits expected(from, from + std::ssize(logits));
    EXPECT_LT(largest_difference(logits, expected), kGoldenTolerance);
  }

  const Engine& engine_ = engine_of(GetParam());
  Session session_{engine_};
  const Tokens tokens_ = dsv4_test::golden_tokens("toy");
  const Logits golden_ = toy_golden().f32("logits_reference");
};

TEST_P(GoingBack, RewindsTheCpuProgramByUpToEightTokens) {
  session_.feed(tokens(0, 140));
  if (GetParam() != Form::kCpu) {
    EXPECT_EQ(session_.rewindable(), 0);
    EXPECT_THAT(error_of([&] { session_.rewind(1); }), AllOf(HasSubstr("portable program"), HasSubstr("truncate()")));
    session_.rewind(0);
    expect_golden_rows(session_.feed(tokens(140, 150)), 140);
    return;
  }
  EXPECT_EQ(session_.rewindable(), 8);
  EXPECT_THAT(error_of([&] { session_.rewind(9); }), AllOf(HasSubstr("by 9 tokens"), HasSubstr("at most 8")));
  EXPECT_THAT(error_of([&] { session_.rewind(-1); }), HasSubstr("by -1 tokens"));
  EXPECT_EQ(session_.position(), 140);
  session_.rewind(8);
  EXPECT_EQ(session_.position(), 132);
  EXPECT_EQ(session_.rewindable(), 0);
  session_.feed(Tokens{1, 2, 3});
  EXPECT_EQ(session_.rewindable(), 3);
  EXPECT_THAT(error_of([&] { session_.rewind(4); }), HasSubstr("behind the furthest position, 140"));
  session_.rewind(3);
  expect_golden_rows(session_.feed(tokens(132, 150)), 132);
  EXPECT_EQ(session_.rewindable(), 8);
}

TEST_P(GoingBack, DoesNotGoBeforeTheStartNorBeyondTheEnd) {
  session_.feed(tokens(0, 5));
  EXPECT_THAT(error_of([&] { session_.truncate(6); }), AllOf(HasSubstr("to 6 tokens"), HasSubstr("has 5")));
  EXPECT_THAT(error_of([&] { session_.truncate(-1); }), HasSubstr("to -1 tokens"));
  if (GetParam() == Form::kCpu) {
    EXPECT_THAT(error_of([&] { session_.rewind(6); }), HasSubstr("has 5"));
    session_.rewind(5);
    EXPECT_EQ(session_.position(), 0);
    EXPECT_THAT(error_of([&] { session_.rewind(1); }), HasSubstr("has 0"));
    expect_golden_rows(session_.feed(tokens(0, 20)), 0);
  } else {
    expect_golden_rows(session_.feed(tokens(5, 20)), 5);
  }
}

TEST_P(GoingBack, TruncatesToAnyPositionFromTheStart) {
  session_.feed(tokens(0, 200), 64);
  const bool stateful = GetParam() != Form::kPrefillOnly;
  EXPECT_EQ(session_.truncate(200), 0);
  EXPECT_EQ(session_.truncate(131), stateful ? 131 : 0);
  EXPECT_EQ(session_.position(), 131);
  expect_golden_rows(session_.feed(tokens(131, 180)), 131);
  EXPECT_EQ(session_.truncate(0), 0);
  EXPECT_EQ(session_.position(), 0);
  expect_golden_rows(session_.feed(tokens(0, 30)), 0);
}

TEST_P(GoingBack, TruncatesFromTheNearestStateThatIsKept) {
  if (GetParam() == Form::kPrefillOnly) return;  // every position is kept
  for (const size_t end : {40u, 90u, 133u, 170u}) {
    session_.feed(tokens(static_cast<size_t>(session_.position()), end));
    session_.keep(3);
  }
  EXPECT_THAT(session_.kept(), ElementsAre(90, 133, 170));
  session_.keep();  // it is kept already
  EXPECT_THAT(session_.kept(), ElementsAre(90, 133, 170));
  session_.feed(tokens(170, 190));
  Session fork = session_.fork();
  EXPECT_EQ(session_.truncate(150), 17);
  EXPECT_THAT(session_.kept(), ElementsAre(90, 133));
  expect_golden_rows(session_.feed(tokens(150, 190)), 150);
  EXPECT_EQ(session_.truncate(133), 0);
  expect_golden_rows(session_.feed(tokens(133, 140)), 133);
  EXPECT_EQ(session_.truncate(89), 89);
  EXPECT_THAT(session_.kept(), IsEmpty());
  expect_golden_rows(session_.feed(tokens(89, 120)), 89);

  EXPECT_THAT(fork.kept(), ElementsAre(90, 133, 170));
  EXPECT_EQ(fork.truncate(91), 1);
  expect_golden_rows(fork.feed(tokens(91, 120)), 91);
}

TEST_P(GoingBack, RefusesToTruncateWhereNothingIsKept) {
  session_.feed(tokens(0, 100));
  Session other(engine_);
  other.restore(session_.save());
  other.feed(tokens(100, 160));
  if (GetParam() == Form::kPrefillOnly) {
    EXPECT_EQ(other.truncate(30), 0);
    expect_golden_rows(other.feed(tokens(30, 40)), 30);
    return;
  }
  EXPECT_THAT(error_of([&] { other.truncate(120); }), AllOf(HasSubstr("to 120 tokens"), HasSubstr("keep()")));
  EXPECT_THAT(error_of([&] { other.keep(0); }), HasSubstr("at most 0 states"));
  EXPECT_EQ(other.position(), 160);
  expect_golden_rows(other.feed(tokens(160, 170)), 160);
}

TEST_P(GoingBack, StopsFeedingBetweenInferencesWhenItIsCancelled) {
  std::stop_source stop;
  std::vector<int64_t> positions;
  FeedOptions options;
  options.chunk = 32;
  options.cancel = stop.get_token();
  options.progress = [&](int64_t position) {
    positions.push_back(position);
    if (position == 64) stop.request_stop();
  };
  if (GetParam() == Form::kPrefillOnly) {  // one inference has all of it
    session_.feed(tokens(0, 200), options);
    EXPECT_THAT(positions, ElementsAre(200));
    return;
  }
  try {
    session_.feed(tokens(0, 200), options);
    ADD_FAILURE() << "it was not cancelled";
  } catch (const Cancelled& cancelled) {
    EXPECT_EQ(cancelled.position(), 64);
    EXPECT_THAT(cancelled.what(), HasSubstr("64 tokens"));
  }
  EXPECT_THAT(positions, ElementsAre(32, 64));
  EXPECT_EQ(session_.position(), 64);
  EXPECT_THROW(session_.feed(tokens(64, 65), options), Cancelled);  // before it begins
  expect_golden_rows(session_.feed(tokens(64, 150)), 64);

  // What is fed again comes in the pieces in which it came, and may be cancelled too.
  EXPECT_THROW(session_.truncate(100, options), Cancelled);
  EXPECT_EQ(session_.position(), 0);
  session_.feed(tokens(0, 150), 40);
  positions.clear();
  options.cancel = {};
  EXPECT_EQ(session_.truncate(130, options), 130);
  EXPECT_THAT(positions, ElementsAre(40, 80, 120, 130));
  expect_golden_rows(session_.feed(tokens(130, 150)), 130);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, GoingBack, testing::Values(Form::kStateful, Form::kPrefillOnly, Form::kCpu), [](const testing::TestParamInfo<Form>& p) {
      return std::string(p.param == Form::kStateful ? "Stateful" : p.param == Form::kPrefillOnly ? "PrefillOnly" : "Cpu");
    });

}  // namespace
}  // namespace dsv4
