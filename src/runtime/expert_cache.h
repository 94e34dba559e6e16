// A bounded cache of routed experts in memory of its own, filled by direct reads: for a model that is larger than memory.
//
// The page cache could hold the same experts, but bringing them there costs a processor more than the drive's time (docs/cpu-program.md). A slot holds an
// expert; which experts stay is decided by how often they are used (expert_policy.h), in the order of requests and before anything is read, so that what is resident
// does not depend on which read ends first. Threads of its own read, because they sleep most of the time, and OpenVINO's must not.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "files/lazy_memory.h"
#include "ops/experts/expert_source.h"
#include "runtime/expert_layout.h"
#include "runtime/expert_policy.h"
#include "runtime/expert_report.h"

namespace dsv4 {

class ExpertCache final : public ops::ExpertSource {
 public:
  /// Bytes [begin, end) of the file to memory, whole blocks; `needed` is the end of what has to be there (files/direct_file.h). Called by several threads at once.
  using Read = std::function<void(uint64_t begin, uint64_t end, uint64_t needed, std::byte* to)>;

  struct Options {
    int64_t budget = 0;             ///< bytes of all slots, at most
    int64_t experts_per_token = 1;  ///< K
    int readers = 8;
    /// Bytes that may still be taken; asked every few tokens. Where it falls below `reserve` the cache gives slots back. Empty: it is not asked.
    std::function<uint64_t()> available;
    uint64_t reserve = 0;
    std::function<void(const std::string&)> notice;  ///< lines for the user; may be empty
  };

  /// Two tokens' experts: with less, a token throws out what the next one needs.
  static int64_t least_bytes(const ExpertLayout& layout, int64_t experts_per_token);

  /// Error for a budget below least_bytes(), or when no thread can be made.
  ExpertCache(ExpertLayout layout, Read read, const Options& options);
  ~ExpertCache() override;
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  std::unique_ptr<ops::ExpertLeases> acquire(int64_t layer, std::span<const ops::ExpertDemand> experts) override;

  /// Experts that a call will ask for soon, of one token: reads them meanwhile.
  void expect(int64_t layer, std::span<const int32_t> experts);
  /// Values to begin with, by expert; free slots are filled with the most used ones whenever no call waits for a read.
  void fill(std::span<const float> frequencies);
  std::vector<float> frequencies() const;

  const ExpertLayout& layout() const { return layout_; }
  int64_t slots() const;                                                                           ///< that may be used now
  int64_t resident_bytes() const { return slots() * static_cast<int64_t>(layout_.slot_bytes()); }  ///< once they are full
  int64_t unfilled_bytes() const;                                                                  ///< of slots that are free
  ExpertCounts counts() const;

 private:
  class Leases;

  struct Slot {
    int64_t expert = -1;  // -1: empty
    int32_t pins = 0;
    int32_t pending[2] = {0, 0};  // requests that are not done, by part
    bool expected = false;        // read for a call that is yet to come
    bool failed = false;          // its expert is not in the index any more
    std::string error;

    bool settled() const { return pending[0] == 0 && pending[1] == 0; }
  };
  struct Request {
    uint64_t begin, end, needed;
    std::byte* to;
    int32_t slot;
    int32_t part;
  };

  // With mutex_ held:
  int32_t take_slot();                               // free, or its expert thrown out; -1 where all are in use
  int32_t admit(size_t expert);                      // takes a slot for it; -1 as above
  void queue_reads(std::span<const int32_t> slots);  // gate and up rows of all, then down rows
  void unpin(int32_t slot);
  void fail_slot(Slot& slot, const char* why);
  void free_if_done(int32_t slot);
  void follow_available();
  bool begin_filling();  // of one expert; false where there is none to fill, or no free slot

  void read_loop();
  std::byte* memory_of(int32_t slot) const { return slots_begin_ + static_cast<size_t>(slot) * layout_.slot_bytes(); }

  const ExpertLayout layout_;
  const Read read_;
  const Options options_;
  LazyMemory memory_;
  std::byte* const slots_begin_;

  mutable std::mutex mutex_;
  std::condition_variable work_, arrived_;
  std::vector<int32_t> index_;  // slot of each expert, -1: none
  std::vector<Slot> slots_;
  std::vector<int32_t> free_;
  std::vector<size_t> to_fill_;  // the best one last
  int64_t given_back_ = 0;       // slots
  int64_t next_look_ = 0;        // requests
  bool told_ = false;
  std::deque<Request> queue_;
  ExpertPolicy policy_;
  ExpertCounts counts_;
  bool stopping_ = false;
  std::vector<std::thread> readers_;
};

}  // namespace dsv4
