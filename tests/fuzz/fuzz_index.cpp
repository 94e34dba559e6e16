// libFuzzer: model.safetensors.index.json.
#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::index({data, size});
  return 0;
}
