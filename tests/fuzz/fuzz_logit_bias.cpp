// libFuzzer: values of --logit-bias.
#include "fuzz/cli_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::logit_bias({data, size});
  return 0;
}
