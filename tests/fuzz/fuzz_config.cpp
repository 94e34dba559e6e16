// libFuzzer: config.json and the tensor table that follows from it.
#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::config({data, size});
  return 0;
}
