// Counting and printing of a cache's work.
#include "cli/expert_lines.h"

#include "checkpoint/amounts.h"
#include "cli/number_text.h"
#include "dsv4/error.h"

namespace dsv4 {

ExpertWatch::ExpertWatch(const Engine& engine) : engine_(engine), begin_(expert_report(engine)) {}

void ExpertWatch::token_chosen() {
  if (begin_ && !decoding_) decoding_ = expert_report(engine_);
}

std::optional<ExpertUse> ExpertWatch::use(const Generated& generated, size_t prompt) const {
  std::optional<ExpertReport> now = expert_report(engine_);
  if (!now || !begin_) return std::nullopt;
  const bool decoded = decoding_ && generated.decoded > 0;
  now->counts = now->counts.since(decoded ? decoding_->counts : begin_->counts);
  return ExpertUse{*now, decoded ? generated.decoded : static_cast<int64_t>(prompt),
                   decoded ? generated.decode_seconds : generated.prefill_seconds};
}

int64_t ExpertWatch::prompt_bytes() const {
  const std::optional<ExpertReport> end = decoding_ ? decoding_ : expert_report(engine_);
  return end && begin_ ? end->counts.since(begin_->counts).bytes_read : 0;
}

std::string experts_text(const ExpertUse& use) {
  const ExpertCounts& counts = use.report.counts;
  const auto percent = [](double share) { return concat(three_digits(100.0 * share), " %"); };
  std::string text = concat(percent(use.hit_share()), " of ", counts.requests, " requests were resident, ",
                            byte_text(static_cast<uint64_t>(use.bytes_a_token())), " a token from the drive, ");
  if (counts.waited_seconds > 0.0) text += concat(three_digits(use.bytes_a_second_waited() / 1e9), " GB/s while waiting, ");
  text += concat(percent(use.waited_share()), " of the time waited");
  if (counts.in_place > 0) text += concat(", ", counts.in_place, " read in place for want of a slot");
  if (use.report.swapped_bytes > 0) {
    text += concat(", ", byte_text(static_cast<uint64_t>(use.report.swapped_bytes)), " swapped out: give --expert-cache less");
  }
  return text;
}

nlohmann::ordered_json experts_json(const ExpertUse& use) {
  const ExpertCounts& counts = use.report.counts;
  return {{"resident_share", use.report.resident_share},
          {"cache_bytes", use.report.cache_bytes},
          {"direct_reads", use.report.direct},
          {"requests", counts.requests},
          {"hit_share", use.hit_share()},
          {"bytes_read", counts.bytes_read},
          {"bytes_per_token", use.bytes_a_token()},
          {"gb_per_second_waiting", use.bytes_a_second_waited() / 1e9},
          {"share_of_time_waited", use.waited_share()},
          {"read_in_place", counts.in_place},
          {"swapped_bytes", use.report.swapped_bytes}};
}

}  // namespace dsv4
