// Handles, copies and what is dropped.
#include "ops/sequences/sequence_table.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <utility>

#include "openvino/core/except.hpp"

namespace dsv4::ops {

namespace {

int32_t this_process() {
  static const int32_t number = [] {
    std::random_device random;
    return static_cast<int32_t>(random() & 0x7FFFFFFFu) | 1;
  }();
  return number;
}

int32_t next_stamp() {
  static std::atomic<uint32_t> last = 0;
  uint32_t stamp = 0;
  do {
    stamp = ++last & 0x7FFFFFFFu;
  } while (stamp == 0);
  return static_cast<int32_t>(stamp);
}

uint64_t bytes_of(const SequenceTable::Sequence& sequence) {
  int64_t bytes = 0;
  for (const auto& range : sequence.memory.layout().used(sequence.length)) bytes += range.end - range.begin;
  return static_cast<uint64_t>(bytes);
}

}  // namespace

SequenceTable::Limits SequenceTable::default_limits() {
  return {.bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / 4};
}

size_t SequenceTable::size() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

std::vector<std::unique_ptr<SequenceTable::Sequence>> SequenceTable::take(std::span<const Row> rows,
                                                                          std::span<const SequenceHandle> state) {
  std::map<int32_t, std::unique_ptr<Sequence>> parents;
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto& [from, before] = rows[i];
      if (from == SequenceHandle{}) {
        OPENVINO_ASSERT(before == 0, "Sequences: row ", i, " goes on after ", before,
                        " tokens, and its state holds none; feed the whole text after reset_state()");
        continue;
      }
      const auto found = kept_.find(from.stamp);
      OPENVINO_ASSERT(from.process == this_process() && found != kept_.end(), "Sequences: the state of row ", i,
                      " names a sequence that is not kept: it went on since that state was taken, a call on it failed, it was dropped to "
                      "make room, or it is another model's or process's; begin again with reset_state()");
      const int64_t length = found->second.sequence->length;
      OPENVINO_ASSERT(before == length, "Sequences: the positions of row ", i, " begin at ", before, ", and its sequence has ", length,
                      " tokens; begin again with reset_state()");
    }
    for (const SequenceHandle& handle : state) {  // those that no row goes on from are dropped
      if (handle.process != this_process()) continue;
      const auto found = kept_.find(handle.stamp);
      if (found == kept_.end()) continue;
      bytes_ -= found->second.bytes;
      parents[handle.stamp] = std::move(found->second.sequence);
      kept_.erase(found);
    }
  }
  std::vector<std::unique_ptr<Sequence>> sequences(rows.size());
  std::map<int32_t, size_t> first;  // rows that get the sequence itself
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t stamp = rows[i].from.stamp;
    if (rows[i].from == SequenceHandle{}) {
      sequences[i] = std::make_unique<Sequence>(shape_);
    } else if (first.emplace(stamp, i).second) {
      continue;
    } else {
      Sequence& parent = *parents.at(stamp);
      sequences[i] = std::make_unique<Sequence>(shape_);
      sequences[i]->memory.go_on_from(parent.memory.freeze(parent.length, 0));
      sequences[i]->length = parent.length;
    }
  }
  for (const auto& [stamp, row] : first) sequences[row] = std::move(parents.at(stamp));
  return sequences;
}

std::vector<SequenceHandle> SequenceTable::keep(std::vector<std::unique_ptr<Sequence>> sequences) {
  std::vector<SequenceHandle> handles;
  std::vector<std::unique_ptr<Sequence>> dropped;  // their memory is given back without the lock
  const std::lock_guard lock(mutex_);
  ++clock_;
  for (auto& sequence : sequences) {
    int32_t stamp = next_stamp();
    while (kept_.contains(stamp)) stamp = next_stamp();
    const uint64_t bytes = bytes_of(*sequence);
    kept_.emplace(stamp, Kept{std::move(sequence), bytes, clock_});
    bytes_ += bytes;
    handles.push_back({stamp, this_process()});
  }
  while (kept_.size() > limits_.sequences || bytes_ > limits_.bytes) {
    const auto oldest =
        std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    if (oldest == kept_.end() || oldest->second.used == clock_) break;
    bytes_ -= oldest->second.bytes;
    dropped.push_back(std::move(oldest->second.sequence));
    kept_.erase(oldest);
  }
  return handles;
}

}  // namespace dsv4::ops
