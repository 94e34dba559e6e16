// The fuzz targets of the text room on their seeds and on mutations of them.
#include <gtest/gtest.h>

#include "fuzz/text_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;
using testing_support::replay;

TEST(FuzzReplay, Tokenizers) {
  replay(
      "fuzz_tokenizer", 1500, [](const Bytes& bytes) { return fuzz::tokenizer(bytes); }, 100);
}

TEST(FuzzReplay, Patterns) {
  replay("fuzz_pattern", 3000, [](const Bytes& bytes) { return fuzz::pattern(bytes); });
}

TEST(FuzzReplay, Utf8) {
  replay("fuzz_pattern", 3000, [](const Bytes& bytes) { return fuzz::utf8(bytes); });
}

TEST(FuzzReplay, Completions) {
  replay("fuzz_completion", 1500, [](const Bytes& bytes) { return fuzz::completion(bytes); });
}

}  // namespace
}  // namespace dsv4
