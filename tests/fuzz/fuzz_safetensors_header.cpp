// libFuzzer: the safetensors header, as a whole file and as the JSON of one.
#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::header_as_file({data, size});
  if (size > 0) dsv4::fuzz::header_as_text({data + 1, size - 1}, data[0]);
  return 0;
}
