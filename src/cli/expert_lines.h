// What commands say of experts that come from the drive.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/json_text.h"
#include "dsv4/request.h"
#include "runtime/expert_report.h"

namespace dsv4 {

/// Counts of a prompt and of the tokens after it.
class ExpertWatch {
 public:
  explicit ExpertWatch(const Engine& engine);

  /// To be called when a token is chosen: the first one ends the prompt.
  void token_chosen();
  /// Of the tokens after the prompt, or of the prompt where none was fed after it; nothing for an engine without a cache of experts.
  std::optional<ExpertUse> use(const Generated& generated, size_t prompt) const;
  /// Bytes that the prompt read.
  int64_t prompt_bytes() const;

 private:
  const Engine& engine_;
  std::optional<ExpertReport> begin_, decoding_;
};

/// "experts: 85 % of 12,000 requests were resident, ...": a line for people.
std::string experts_text(const ExpertUse& use);
nlohmann::ordered_json experts_json(const ExpertUse& use);

}  // namespace dsv4
