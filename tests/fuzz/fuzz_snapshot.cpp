// libFuzzer: files of snapshots, and snapshots whose digest is right.
#include "snapshot_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::snapshot({data, size});
  return 0;
}
