// What --version prints.
#pragma once

#include <string>

namespace dsv4 {

/// What a bug report needs, a line each: dsv4, OpenVINO, openvino-tokenizers, the instruction set of the kernels, the commit.
std::string version_text();

}  // namespace dsv4
