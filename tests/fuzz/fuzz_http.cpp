// libFuzzer: requests of HTTP.
#include "server_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::http_request({data, size});
  return 0;
}
