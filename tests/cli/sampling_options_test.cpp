// --logit-bias as a person types it, and what damages to it come to.
#include "cli/sampling_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fuzz/cli_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing::HasSubstr;
using namespace testing_support;

TEST(ParseLogitBias, TakesAnIdAndANumber) {
  const LogitBias bias = parse_logit_bias("128:-1.5");
  EXPECT_EQ(bias.token, 128);
  EXPECT_EQ(bias.bias, -1.5);
  EXPECT_EQ(parse_logit_bias("0:100").bias, 100.0);
  EXPECT_EQ(parse_logit_bias("129279:1e-3").bias, 1e-3);
}

TEST(ParseLogitBias, RefusesAnythingElse) {
  for (const char* text : {"",
                           ":",
                           "1",
                           "1:",
                           ":1",
                           "1:x",
                           "x:1",
                           "1:1:1",
                           "1: 1",
                           " 1:1",
                           "-1:1",
                           "1:100.1",
                           "1:-101",
                           "1:nan",
                           "1:inf",
                           "1.5:1",
                           "1:0x1",
                           "1,2",
                           "99999999999999999999:1",
                           "1:1e999"}) {
    const std::string message = error_of([&] { parse_logit_bias(text); });
    EXPECT_THAT(message, HasSubstr("--logit-bias")) << text;
    EXPECT_THAT(message, HasSubstr("expected")) << text;
  }
}

TEST(FuzzReplay, LogitBiases) {
  replay("fuzz_logit_bias", 3000, [](const Bytes& bytes) { return fuzz::logit_bias(bytes); });
}

}  // namespace
}  // namespace dsv4
