// Which experts are worth a place in memory: by a frequency that halves every 32 tokens, over all layers together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dsv4 {

/// Experts are numbered: layer * experts of a layer + expert. All frequencies decay alike, so that their order changes only by requests: a value is the logarithm
/// of a frequency plus the time, value = log2(2^(old - now) + 1) + now, and nothing has to be swept.
///
/// A call of several tokens uses nearly all experts of one layer after another. Its first layers must not throw out what its last ones are about to use, or a
/// cache slightly too small would never hit: layers that are still to come are *shielded*, their values counting as higher than all others.
class ExpertPolicy {
 public:
  ExpertPolicy(size_t layers, size_t experts);

  /// A layer of a call of so many tokens; layer 0 begins a call. Its requests follow.
  void begin(size_t layer, int64_t tokens);
  /// An expert is used by `tokens` of the `all` ones that the call has.
  void request(size_t expert, int64_t tokens, int64_t all);

  void admit(size_t expert);   ///< it is resident now
  void forget(size_t expert);  ///< it is no longer

  /// The resident expert of least value for which `may_go` holds, which then is resident no longer; -1 where there is none. The time depends on how many there are
  /// of less value for which it does not hold.
  template <class F>
  int64_t evict(const F& may_go) {
    int64_t victim = -1;
    while (victim < 0 && pop_least()) {
      if (may_go(popped_.expert)) {
        victim = static_cast<int64_t>(popped_.expert);
        resident_[popped_.expert] = false;
      } else {
        kept_.push_back(popped_);
      }
    }
    for (const Entry& entry : kept_) push(entry);
    kept_.clear();
    return victim;
  }

  /// Frequencies as they are now, by expert; 0 for those that were never used. For a profile, and from one.
  std::vector<float> frequencies() const;
  void set_frequencies(std::span<const float> frequencies);

 private:
  struct Entry {
    double value;
    size_t expert;
  };
  static bool greater(const Entry& a, const Entry& b) { return a.value > b.value; }

  double value_of(size_t expert) const;
  void push(const Entry& entry);
  /// Into popped_: the resident entry whose value is least. Entries that are less than the expert's value are put back with that; for a value that has become less
  /// there is an entry beside the old one.
  bool pop_least();
  void shield(size_t first);  // layers from this one on, and no other

  double now_ = 0.0;  // in half-lives
  size_t experts_;    // of a layer
  std::vector<double> value_;
  std::vector<bool> resident_;
  size_t first_shielded_;  // layer
  std::vector<Entry> heap_, kept_;
  Entry popped_{};
};

}  // namespace dsv4
