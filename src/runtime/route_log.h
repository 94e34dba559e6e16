// A file of which experts tokens were routed to: "layer e1 e2 ...", a line a token and layer, token by token.
#pragma once

#include <filesystem>
#include <fstream>
#include <vector>

#include "ops/experts/expert_source.h"

namespace dsv4 {

/// Of one call at a time (CpuSteps sees to it), whose sequences follow each other. A call that fails leaves no lines.
class RouteLog final : public ops::RouteObserver {
 public:
  /// Error when the file cannot be written.
  RouteLog(const std::filesystem::path& file, size_t layers, size_t experts_per_token);

  void routed(int64_t layer, std::span<const int32_t> experts) override;

 private:
  void write();

  std::filesystem::path file_;
  std::ofstream out_;
  size_t per_token_;
  std::vector<std::vector<int32_t>> experts_;  // [layer] of a call that is not complete
};

}  // namespace dsv4
