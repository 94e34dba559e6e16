// Conversations with the trained mini: what goes wrong in a turn leaves them as they were, and going back leads where a new one would.
#include "chat/talk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/converted_model.h"
#include "runtime/failing_op.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using namespace testing_support;

class Talking : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    folder_ = convert_golden("mini", directory_->path());
    tokenizer_ = std::make_unique<Tokenizer>(folder_);
  }
  static void TearDownTestSuite() {
    tokenizer_.reset();
    directory_.reset();
  }

  static Talk talk(const Engine& engine, bool thinking = false) {
    TalkOptions options;
    options.request.max_new_tokens = 12;
    Talk talk(engine, *tokenizer_, options);
    talk.set_thinking(thinking);
    return talk;
  }
  /// The answer's text.
  static std::string ask(
      Talk& talk, const std::string& text, const std::function<bool()>& stopped = [] { return false; }) {
    talk.ask(
        text, [](const CompletionDelta&) {}, stopped);
    return talk.chat().messages.back().content;
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
  static inline std::filesystem::path folder_;
  static inline std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(Talking, AnInferenceThatFailsInTheMiddleOfAnAnswerLeavesTheConversation) {
  Engine engine(folder_, every_position(Program::kCpu));
  const std::shared_ptr<ov::Model> graph = graph_of(engine, folder_);
  const auto fault = std::make_shared<std::atomic<Fault>>(Fault::kNone);
  insert_after(places(*graph).at(5), fault);
  replace_graph(engine, graph);

  Talk plain = talk(engine), failing = talk(engine);
  const std::string first = ask(plain, "In the beginning God"), second = ask(plain, "And the LORD said");
  EXPECT_EQ(ask(failing, "In the beginning God"), first);
  size_t deltas = 0;
  const auto fail_soon = [&](const CompletionDelta&) {
    if (++deltas == 2) *fault = Fault::kError;
  };
  EXPECT_THAT(error_of([&] { failing.ask("And the LORD said", fail_soon, [] { return false; }); }), HasSubstr("FailingOp: told to"));
  EXPECT_GE(deltas, 2u);
  EXPECT_EQ(failing.turns(), 1u);
  *fault = Fault::kNone;
  EXPECT_EQ(ask(failing, "And the LORD said"), second);
}

TEST_F(Talking, APromptThatIsStoppedIsNotPartOfTheConversation) {
  const Engine engine(folder_, last_position(Program::kCpu));
  Talk stopped = talk(engine), plain = talk(engine);
  std::string text;
  for (int i = 0; i < 700; ++i) text += "heaven ";
  EXPECT_THROW(ask(stopped, text, [] { return true; }), Cancelled);
  EXPECT_EQ(stopped.turns(), 0u);
  EXPECT_GT(stopped.session().position(), 0) << "what was fed is held";
  EXPECT_EQ(ask(stopped, "Blessed are"), ask(plain, "Blessed are"));
  EXPECT_EQ(stopped.session().position(), plain.session().position());
}

TEST_F(Talking, WhatIsTakenBackLeavesNothing) {
  const Engine engine(folder_, last_position(Program::kCpu));
  for (const bool thinking : {false, true}) {
    Talk one = talk(engine, thinking), other = talk(engine, thinking);
    const std::string first = ask(one, "In the beginning God");
    for (const char* text : {"Blessed are", "Hear, O Israel", "The sons of"}) ask(one, text);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(one.undo());
    EXPECT_EQ(ask(other, "In the beginning God"), first);
    EXPECT_EQ(ask(one, "And the LORD said"), ask(other, "And the LORD said"));
    EXPECT_GT(one.last()->reused, 0);
    EXPECT_LT(one.last()->fed_again, one.last()->reused);
    EXPECT_TRUE(one.undo() && one.undo());
    EXPECT_FALSE(one.undo());
  }
}

TEST_F(Talking, AnotherSystemPromptReadsTheConversationAnew) {
  const Engine engine(folder_, last_position(Program::kCpu));
  Talk one = talk(engine), other = talk(engine);
  ask(one, "In the beginning God");
  one.set_system("Speak.");
  other.set_system("Speak.");
  other.load(one.chat());
  EXPECT_EQ(ask(one, "Hear, O"), ask(other, "Hear, O"));
  EXPECT_EQ(one.last()->reused, 1) << "the beginning of the sequence alone";
  EXPECT_EQ(one.system(), "Speak.");
}

TEST_F(Talking, AMessageThatIsNoTextIsRefused) {
  const Engine engine(folder_, last_position(Program::kCpu));
  Talk one = talk(engine);
  EXPECT_THAT(error_of([&] { ask(one, "a\xFF"); }), HasSubstr("UTF-8"));
  EXPECT_EQ(one.turns(), 0u);
}

}  // namespace
}  // namespace dsv4
