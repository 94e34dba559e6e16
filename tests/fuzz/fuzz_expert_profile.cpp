// libFuzzer: the file of --expert-profile.
#include "profile_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::expert_profile({data, size});
  return 0;
}
