// libFuzzer: bodies of requests of the APIs.
#include "server_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::api_body({data, size});
  return 0;
}
