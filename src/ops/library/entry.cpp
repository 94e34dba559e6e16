// Where OpenVINO enters libdsv4_ops.so: core.add_extension("libdsv4_ops.so").
#include "ops/extension.h"

OPENVINO_CREATE_EXTENSIONS(dsv4::ops::ops_extensions())
