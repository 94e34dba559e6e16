// libFuzzer: config.json, openvino_model.xml and openvino_model.bin of a model folder.
#include "folder_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dsv4::fuzz::model_folder({data, size});
  return 0;
}
