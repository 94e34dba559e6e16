// How much of a prompt there is time for, from the times of steps.
#include "runtime/step_times.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

/// Steps of so many texts at one second each, and a tenth for a token of a prompt.
StepTimes after(int64_t decoded, int64_t alone, int64_t with_prompts) {
  StepTimes times;
  for (int64_t i = 0; i < alone; ++i) times.add({decoded, 0}, 1.0);
  for (int64_t i = 0; i < with_prompts; ++i) times.add({decoded, 20}, 3.0);
  return times;
}

TEST(StepTimes, WantAStepWithoutPromptsFirst) {
  EXPECT_EQ(StepTimes().prompt_tokens(3, 10), 0);
  EXPECT_EQ(after(3, 1, 0).prompt_tokens(3, 10), 1) << "what a prompt's token takes is not known: the least";
}

TEST(StepTimes, GivePromptsAsMuchAsSomeStepsTake) {
  EXPECT_EQ(after(3, 2, 3).prompt_tokens(3, 10), 100);
  EXPECT_EQ(after(3, 2, 3).prompt_tokens(3, 4), 40);
  EXPECT_EQ(after(3, 2, 3).prompt_tokens(5, 10), 100) << "a step of more texts takes longer, not less";
}

TEST(StepTimes, AreMeasuredAgainForFewerTextsAndAfterAWhile) {
  EXPECT_EQ(after(3, 2, 3).prompt_tokens(2, 10), 0);
  EXPECT_EQ(after(3, 2, 31).prompt_tokens(3, 10), 100);
  EXPECT_EQ(after(3, 2, 32).prompt_tokens(3, 10), 0);
  StepTimes times = after(3, 2, 32);
  times.add({2, 0}, 0.5);
  EXPECT_EQ(times.prompt_tokens(2, 10), 50);
}

TEST(StepTimes, AreNotLedByOneSlowStep) {
  StepTimes times = after(1, 6, 3);
  times.add({1, 0}, 60.0);
  EXPECT_EQ(times.prompt_tokens(1, 10), 100);
}

TEST(StepTimes, StandAClockThatStands) {
  StepTimes times;
  times.add({2, 0}, 0.0);
  times.add({2, 32}, 0.0);
  EXPECT_EQ(times.prompt_tokens(2, 10), 1);
  times.add({0, 512}, 0.0);
  EXPECT_GE(times.prompt_tokens(2, 10), 1);
}

}  // namespace
}  // namespace dsv4
