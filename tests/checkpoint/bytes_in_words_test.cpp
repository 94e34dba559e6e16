// Bytes in words.
#include "checkpoint/bytes_in_words.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

TEST(BytesInWords, TakesTheLargestUnitThatIsNotMoreThanTheNumber) {
  EXPECT_EQ(bytes_in_words(0), "0 bytes");
  EXPECT_EQ(bytes_in_words(999), "999 bytes");
  EXPECT_EQ(bytes_in_words(1000), "1.00 kB");
  EXPECT_EQ(bytes_in_words(1'340'000), "1.34 MB");
  EXPECT_EQ(bytes_in_words(159'609'485'896), "159.61 GB");
  EXPECT_EQ(bytes_in_words(1'136'000'000'000), "1.14 TB");
}

TEST(BytesInWords, HasNoUnitBeyondTerabytes) { EXPECT_EQ(bytes_in_words(2'500'000'000'000'000), "2500.00 TB"); }

}  // namespace
}  // namespace dsv4
