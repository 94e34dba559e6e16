// Which of the compiled kernels this processor runs.
#include "ops/support/instruction_set.h"

#include <hwy/highway.h>

namespace dsv4::ops {

std::string instruction_set() {
  const auto usable = hwy::SupportedAndGeneratedTargets();  // the best first
  return usable.empty() ? "none" : hwy::TargetName(usable.front());
}

}  // namespace dsv4::ops
