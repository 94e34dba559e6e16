// Counts of the server, as Prometheus reads them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace dsv4 {

/// Thread-safe.
class Metrics {
 public:
  std::atomic<int64_t> prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, cancelled = 0;

  void count_request(const std::string& path, int status);
  void add_seconds(double prompt, double generation);

  /// What is so now, and not counted here.
  struct Now {
    int64_t waiting = 0, processing = 0, checkpoints = 0, checkpoint_bytes = 0;
  };
  /// Prometheus' text format.
  std::string text(const Now& now) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  double prompt_seconds_ = 0, generation_seconds_ = 0;
};

}  // namespace dsv4
