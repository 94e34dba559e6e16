// libFuzzer: the attribute `parts` of the CPU program's operations.
#include "op_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::weight_parts({data, size});
  return 0;
}
