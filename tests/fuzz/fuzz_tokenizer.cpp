// libFuzzer: tokenizer.json.
#include "text_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::tokenizer({data, size});
  return 0;
}
