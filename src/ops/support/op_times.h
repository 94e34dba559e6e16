// Where the time of the CPU program goes: seconds by part of an op, counted only while somebody asks.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace dsv4::ops {

enum class OpPart {
  kEmbed,
  kHyperConnect,
  kAttentionInputs,   ///< products with x, norms, compressors
  kAttentionQueries,  ///< products with the query latent
  kAttentionIndexer,
  kAttentionCore,  ///< softmax over window and entries
  kAttentionOutput,
  kExpertsRouter,
  kExpertsProducts,  ///< routed and shared
  kHead,
};
constexpr size_t kOpParts = 10;
const char* op_part_name(OpPart part);

/// Of the whole process: what bench measures runs alone.
class OpTimes {
 public:
  static void enable(bool on) { enabled_ = on; }
  static bool enabled() { return enabled_.load(std::memory_order_relaxed); }
  static void add(OpPart part, int64_t nanoseconds) { nanoseconds_[static_cast<size_t>(part)] += nanoseconds; }
  /// Nanoseconds by part since the process began, while enabled.
  static std::array<int64_t, kOpParts> read();

 private:
  static inline std::atomic<bool> enabled_{false};
  static inline std::array<std::atomic<int64_t>, kOpParts> nanoseconds_{};
};

/// Adds the time from its making to its end to a part.
class TimePart {
 public:
  explicit TimePart(OpPart part) : part_(part), on_(OpTimes::enabled()) {
    if (on_) start_ = std::chrono::steady_clock::now();
  }
  ~TimePart() {
    if (on_) OpTimes::add(part_, std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_).count());
  }
  TimePart(const TimePart&) = delete;
  TimePart& operator=(const TimePart&) = delete;

 private:
  OpPart part_;
  bool on_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace dsv4::ops
