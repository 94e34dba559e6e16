// libFuzzer: files of saved conversations.
#include "chat_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::saved_chat({data, size});
  return 0;
}
