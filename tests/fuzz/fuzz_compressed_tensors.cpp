// libFuzzer: the quantization_config and the tensors of a checkpoint with packed weights.
#include "packed_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::compressed_tensors({data, size});
  return 0;
}
