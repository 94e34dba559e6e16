// libFuzzer: answers of models as messages.
#include "text_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::completion({data, size});
  return 0;
}
