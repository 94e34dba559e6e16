// The progress line: share, bytes, rate and time left.
#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dsv4 {
namespace {

TEST(Progress, LineStatesShareBytesRateAndTimeLeft) {
  EXPECT_EQ(progress_line("synth", 7'000'000'000, 14'000'000'000, 10.0), "synth: 50%, 7.00 GB of 14.00 GB, 700.00 MB/s, 0:10 left");
}

TEST(Progress, EachNumberHasTheUnitThatFits) {
  EXPECT_EQ(progress_line("synth", 500'000, 1'500'000, 0.5), "synth: 33%, 500.00 kB of 1.50 MB, 1.00 MB/s, 0:01 left");
}

TEST(Progress, HoursAndMinutesAreWritten) {
  EXPECT_EQ(progress_line("convert", 1'000'000'000, 8'661'000'000, 1.0), "convert: 11%, 1.00 GB of 8.66 GB, 1.00 GB/s, 0:08 left");
  EXPECT_EQ(progress_line("convert", 1'000'000'000, 101'000'000'000, 1.0), "convert: 0%, 1.00 GB of 101.00 GB, 1.00 GB/s, 1:40 left");
  EXPECT_EQ(progress_line("convert", 1'000'000'000, 3'726'000'000'000, 1.0), "convert: 0%, 1.00 GB of 3.73 TB, 1.00 GB/s, 1:02:05 left");
}

TEST(Progress, WorkThatIsNotCountedInBytesSaysWhatIsLeftWhereItsShareIsKnown) {
  EXPECT_EQ(progress_line("prompts", 0.25, "12 done", 30.0), "prompts: 12 done, 1:30 left");
  for (const std::optional<double> share : {std::optional<double>(), std::optional(0.0), std::optional(1.0)})
    EXPECT_EQ(progress_line("prompts", share, "12 done", 30.0), "prompts: 12 done");
}

TEST(Progress, NoTimeIsLeftAtTheEndNorKnownAtTheStart) {
  EXPECT_EQ(progress_line("synth", 2'000'000'000, 2'000'000'000, 4.0), "synth: 100%, 2.00 GB of 2.00 GB, 500.00 MB/s");
  EXPECT_EQ(progress_line("synth", 0, 2'000'000'000, 4.0), "synth: 0%, 0 bytes of 2.00 GB, 0 bytes/s");
  EXPECT_EQ(progress_line("synth", 0, 0, 0.0), "synth: 100%, 0 bytes of 0 bytes, 0 bytes/s");
}

// A test's stderr is no terminal, and ten seconds do not pass: nothing may be printed, however often it is called.
TEST(Progress, QuickWorkPrintsNothingAwayFromATerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress("synth");
    for (uint64_t i = 0; i <= 10000; ++i) progress.update(i, 10000);
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace dsv4
