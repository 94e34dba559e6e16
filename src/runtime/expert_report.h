// What an engine whose experts come from the drive did, and how fast that drive could be.
#pragma once

#include <cstdint>
#include <optional>

#include "dsv4/engine.h"

namespace dsv4 {

/// What a cache of experts did since it was made.
struct ExpertCounts {
  int64_t requests = 0;       ///< experts that calls asked for, each once a call and layer
  int64_t hits = 0;           ///< of them, those that were resident
  int64_t bytes_read = 0;     ///< from the drive, whole blocks
  int64_t in_place = 0;       ///< requests for which no slot was free, read where the file is mapped
  double waited_seconds = 0;  ///< that calls had nothing to compute for want of experts

  ExpertCounts since(const ExpertCounts& before) const {
    return {requests - before.requests, hits - before.hits, bytes_read - before.bytes_read, in_place - before.in_place,
            waited_seconds - before.waited_seconds};
  }
  ExpertCounts and_of(const ExpertCounts& other) const {
    return {requests + other.requests, hits + other.hits, bytes_read + other.bytes_read, in_place + other.in_place,
            waited_seconds + other.waited_seconds};
  }
};

struct ExpertReport {
  double resident_share = 0.0;  ///< of the routed experts, those that there are slots for
  int64_t cache_bytes = 0;      ///< of these slots
  int64_t unfilled_bytes = 0;   ///< of slots that no expert was ever in: memory that the cache has not taken yet
  bool direct = false;          ///< reads go past the page cache
  int64_t swapped_bytes = 0;    ///< of the process' memory, which the cache is most of: then it is larger than what the machine has for it
  ExpertCounts counts;
};

/// What the cache did in a stretch of tokens.
struct ExpertUse {
  ExpertReport report;  ///< its counts are those of the stretch
  int64_t tokens = 0;
  double seconds = 0.0;

  /// Another stretch.
  void add(const ExpertCounts& counts, int64_t its_tokens) {
    report.counts = report.counts.and_of(counts);
    tokens += its_tokens;
  }
  double hit_share() const {
    return report.counts.requests > 0 ? static_cast<double>(report.counts.hits) / static_cast<double>(report.counts.requests) : 0.0;
  }
  double bytes_a_token() const { return tokens > 0 ? static_cast<double>(report.counts.bytes_read) / static_cast<double>(tokens) : 0.0; }
  /// What was read over the time that calls waited for it: more than the drive gives where it read beside their arithmetic.
  double bytes_a_second_waited() const {
    return report.counts.waited_seconds > 0.0 ? static_cast<double>(report.counts.bytes_read) / report.counts.waited_seconds : 0.0;
  }
  double waited_share() const { return seconds > 0.0 ? report.counts.waited_seconds / seconds : 0.0; }
};

/// Nothing for an engine whose experts lie in memory or in a mapped file.
std::optional<ExpertReport> expert_report(const Engine& engine);

/// The drive's best, bytes a second: reads of 1 MiB anywhere in the model's weights, 32 at a time, for a second. 0 for an engine as above.
double drive_bandwidth(const Engine& engine);

/// Writes the file that EngineOptions::expert_profile names, complete or not at all; nothing where none is named. Error when it cannot be written.
void save_expert_profile(const Engine& engine);

}  // namespace dsv4
