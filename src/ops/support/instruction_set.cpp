// Which of the compiled kernels this processor runs.
#include "ops/support/instruction_set.h"

#define HWY_WANT_AVX3_DL  // as the kernels do: the list of instruction sets depends on it
#include <hwy/highway.h>

namespace dsv4::ops {

std::string instruction_set() {
  const auto usable = hwy::SupportedAndGeneratedTargets();  // the best first
  return usable.empty() ? "none" : hwy::TargetName(usable.front());
}

}  // namespace dsv4::ops
