// All ops of this room, as OpenVINO takes them.
#pragma once

#include <vector>

#include "openvino/core/extension.hpp"

namespace dsv4::ops {

/// For Core::add_extension() of a program that reads models with these ops. The shared library libdsv4_ops.so brings the same.
std::vector<ov::Extension::Ptr> ops_extensions();

}  // namespace dsv4::ops
