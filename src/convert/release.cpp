// The release of a checkpoint.
#include "convert/release.h"

#include <algorithm>

namespace dsv4 {

ChatRelease release_of(const Checkpoint& checkpoint) {
  const auto holds_stages = [](const auto& file) {
    const auto& tensors = file->header().tensors;
    return std::any_of(tensors.begin(), tensors.end(), [](const auto& tensor) { return tensor.first.ends_with("mtp.0.main_proj.weight"); });
  };
  const auto& files = checkpoint.files();
  const bool stages = checkpoint.config().dspark || std::any_of(files.begin(), files.end(), holds_stages);
  return stages ? ChatRelease::k0731 : ChatRelease::kOriginal;
}

}  // namespace dsv4
