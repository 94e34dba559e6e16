// Bytes in words.
#include "checkpoint/amounts.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

TEST(Amounts, TakesTheLargestUnitThatIsNotMoreThanTheNumber) {
  EXPECT_EQ(byte_text(0), "0 bytes");
  EXPECT_EQ(byte_text(999), "999 bytes");
  EXPECT_EQ(byte_text(1000), "1.00 kB");
  EXPECT_EQ(byte_text(1'340'000), "1.34 MB");
  EXPECT_EQ(byte_text(159'609'485'896), "159.61 GB");
  EXPECT_EQ(byte_text(1'136'000'000'000), "1.14 TB");
}

TEST(Amounts, HasNoUnitBeyondTerabytes) { EXPECT_EQ(byte_text(2'500'000'000'000'000), "2500.00 TB"); }

}  // namespace
}  // namespace dsv4
