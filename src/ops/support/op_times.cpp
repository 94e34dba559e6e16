// Names and sums of the parts.
#include "ops/support/op_times.h"

namespace dsv4::ops {

const char* op_part_name(OpPart part) {
  switch (part) {
    case OpPart::kEmbed:
      return "embedding";
    case OpPart::kHyperConnect:
      return "hyper-connections";
    case OpPart::kAttentionInputs:
      return "attention inputs";
    case OpPart::kAttentionQueries:
      return "attention queries";
    case OpPart::kAttentionIndexer:
      return "attention indexer";
    case OpPart::kAttentionCore:
      return "attention core";
    case OpPart::kAttentionOutput:
      return "attention output";
    case OpPart::kExpertsRouter:
      return "expert router";
    case OpPart::kExpertsProducts:
      return "experts";
    case OpPart::kHead:
      return "head";
  }
  return "";
}

std::array<int64_t, kOpParts> OpTimes::read() {
  std::array<int64_t, kOpParts> values{};
  for (size_t i = 0; i < kOpParts; ++i) values[i] = nanoseconds_[i];
  return values;
}

}  // namespace dsv4::ops
