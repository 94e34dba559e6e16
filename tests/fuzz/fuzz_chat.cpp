// libFuzzer: chat JSON and the prompts made of it.
#include "chat_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::chat({data, size});
  dsv4::fuzz::python_json({data, size});
  return 0;
}
