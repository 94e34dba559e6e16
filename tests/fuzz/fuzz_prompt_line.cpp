// libFuzzer: lines of `dsv4 run --prompts`.
#include "fuzz/prompt_line_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::prompt_line({data, size});
  return 0;
}
