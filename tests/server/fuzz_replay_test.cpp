// The fuzz targets of the server on their seeds and on mutations of them.
#include <gtest/gtest.h>

#include "fuzz/server_targets.h"
#include "support/replay.h"

namespace dsv4 {
namespace {

using testing_support::Bytes;
using testing_support::replay;

TEST(FuzzReplay, HttpRequests) {
  replay("fuzz_http", 3000, [](const Bytes& bytes) { return fuzz::http_request(bytes); });
}

TEST(FuzzReplay, ApiBodies) {
  replay("fuzz_api_body", 3000, [](const Bytes& bytes) { return fuzz::api_body(bytes); });
}

}  // namespace
}  // namespace dsv4
