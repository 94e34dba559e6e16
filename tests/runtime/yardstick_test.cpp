// Reading memory in passes, and the share of what they read.
#include "runtime/yardstick.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

using Streams = ReadBandwidth::Streams;

TEST(ReadBandwidth, ReadsEveryWordOfAPass) {
  for (const int threads : {1, 64}) {
    ReadBandwidth memory(threads);
    for (const Streams streams : {Streams::kOne, Streams::kFour}) {
      // 0 where a word was left out or read twice. The second one goes over the end of the memory.
      EXPECT_GT(memory.measure(streams, (int64_t{1} << 28) + (int64_t{1} << 27)), 0.0) << threads;
      EXPECT_GT(memory.measure(streams, int64_t{1} << 28), 0.0) << threads;
      EXPECT_GT(memory.measure(streams, 1), 0.0) << threads;
      EXPECT_GT(memory.measure(streams), 0.0) << threads;
    }
  }
}

TEST(Yardstick, ReadsOftenWhereTokensAreLarge) {
  EXPECT_EQ(tokens_between_readings(7'700'000'000), 1);
  EXPECT_EQ(tokens_between_readings(600'000'000), 1);
  EXPECT_EQ(tokens_between_readings(300'000'000), 2);
  EXPECT_EQ(tokens_between_readings(1'000'000), 537);
  EXPECT_GT(tokens_between_readings(0), int64_t{1} << 40);
}

TEST(Yardstick, SharesAreOfBothPassesTogether) {
  EXPECT_DOUBLE_EQ(share_of_passes(10'000'000'000, 1.0, 20.0, 20.0), 0.5);
  EXPECT_DOUBLE_EQ(share_of_passes(5'000'000'000, 0.25, 20.0, 20.0), 1.0);
  // 60 GB at 10 GB/s and 60 GB at 30 GB/s take 8 s: 15 GB/s.
  EXPECT_DOUBLE_EQ(share_of_passes(15'000'000'000, 1.0, 10.0, 30.0), 1.0);
}

TEST(Yardstick, GivesMedians) {
  Yardstick yardstick(2, 1'000'000);
  yardstick.read();
  yardstick.read();
  const double one = yardstick.one_stream();
  EXPECT_GT(one, 0.0);
  EXPECT_GT(yardstick.four_streams(), 0.0);
  // Three groups of 1, 2 and 30 MB a second, between the same two readings.
  for (const int64_t tokens : {30, 1, 2}) yardstick.add_group(tokens, 1.0);
  EXPECT_LT(yardstick.share(), 3e6 / one);
  const double low = yardstick.share();
  yardstick.add_group(30, 1.0);
  yardstick.add_group(30, 1.0);
  EXPECT_NEAR(yardstick.share() / low, 15.0, 1e-9);
}

}  // namespace
}  // namespace dsv4
