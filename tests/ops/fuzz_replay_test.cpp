// The fuzz target of the operations' attribute `parts` on its seeds and on mutations of them.
#include <gtest/gtest.h>

#include <string>

#include "fuzz/op_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;

TEST(FuzzReplay, WeightParts) {
  for (const Bytes& seed : testing_support::seeds("fuzz_weight_parts")) {
    const std::string text(seed.begin(), seed.end());
    EXPECT_EQ(fuzz::weight_parts(seed), text.find(" refused=1 ") == text.npos) << text;
  }
  testing_support::replay(
      "fuzz_weight_parts", 1000, [](const Bytes& bytes) { return fuzz::weight_parts(bytes); }, 100);
}

}  // namespace
}  // namespace dsv4
