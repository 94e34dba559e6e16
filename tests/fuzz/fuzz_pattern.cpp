// libFuzzer: the patterns of a tokenizer, and UTF-8.
#include "text_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::pattern({data, size});
  dsv4::fuzz::utf8({data, size});
  return 0;
}
