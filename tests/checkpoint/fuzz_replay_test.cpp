// The fuzz targets without a fuzzer: their seeds, and thousands of mutations of them that are the same on every machine.
#include <gtest/gtest.h>

#include "fuzz/packed_targets.h"
#include "fuzz/targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;
using testing_support::replay;

TEST(FuzzReplay, SafetensorsFiles) {
  replay("fuzz_safetensors_header", 2000, [](const Bytes& bytes) {
    const bool as_file = fuzz::header_as_file(bytes);
    return (bytes.size() > 1 && fuzz::header_as_text(std::span(bytes).subspan(1), bytes[0])) || as_file;
  });
}

TEST(FuzzReplay, Indexes) {
  replay("fuzz_index", 3000, [](const Bytes& bytes) { return fuzz::index(bytes); });
}

TEST(FuzzReplay, Configs) {
  replay("fuzz_config", 2000, [](const Bytes& bytes) { return fuzz::config(bytes); });
}

TEST(FuzzReplay, PackedWeights) {
  for (const Bytes& seed : testing_support::seeds("fuzz_compressed_tensors")) {
    EXPECT_TRUE(fuzz::compressed_tensors(seed)) << std::string(seed.begin(), seed.end());
  }
  replay("fuzz_compressed_tensors", 300, [](const Bytes& bytes) { return fuzz::compressed_tensors(bytes); });
}

}  // namespace
}  // namespace dsv4
