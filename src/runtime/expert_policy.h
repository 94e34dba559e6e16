// Which experts are worth a place in memory: by a frequency that halves every 32 tokens, over all layers together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dsv4 {

/// Experts are numbered: layer * experts of a layer + expert. All frequencies decay alike, so that their order changes only by requests: a value is the logarithm
/// of a frequency plus the time, value = log2(2^(old - now) + 1) + now, and nothing has to be swept.
class ExpertPolicy {
 public:
  /// `token_requests`: of one token over all layers.
  ExpertPolicy(size_t experts, int64_t token_requests);

  /// An expert is used by `tokens` of the `all` ones that a call has.
  void request(size_t expert, int64_t tokens, int64_t all);

  void admit(size_t expert);   ///< it is resident now
  void forget(size_t expert);  ///< it is no longer

  /// The resident expert of least value for which `may_go` holds, which then is resident no longer; -1 where there is none. The time depends on how many there are
  /// of less value for which it does not hold.
  template <class F>
  int64_t evict(const F& may_go) {
    int64_t victim = -1;
    std::vector<Entry>& kept = kept_;
    while (victim < 0 && pop_least()) {
      const Entry least = popped_;
      if (may_go(least.expert)) {
        victim = static_cast<int64_t>(least.expert);
        resident_[least.expert] = false;
      } else {
        kept.push_back(least);
      }
    }
    for (const Entry& entry : kept) push(entry);
    kept.clear();
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

  void push(const Entry& entry);
  /// Into popped_: the resident entry whose value is least. Entries that are older than the expert's value are put back with that.
  bool pop_least();

  double now_ = 0.0, per_request_;  // in half-lives
  std::vector<double> value_;
  std::vector<bool> resident_;
  std::vector<Entry> heap_, kept_;
  Entry popped_{};
};

}  // namespace dsv4
