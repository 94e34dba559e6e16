// Which of the compiled kernels this processor runs.
#pragma once

#include <string>

namespace dsv4::ops {

/// Highway's name of the instruction set that every kernel is called for: "AVX2", "AVX3_DL", ...
std::string instruction_set();

}  // namespace dsv4::ops
