// Lengths of passes and groups, and medians.
#include "runtime/yardstick.h"

#include <algorithm>
#include <limits>

#include "runtime/measure.h"

namespace dsv4 {

namespace {

// A pass takes an eighth of the time of the smallest group, and reads more than a cache keeps until it comes round again.
constexpr int64_t kGroupBytes = int64_t{1} << 29, kPassBytes = int64_t{1} << 26;
constexpr int64_t kTokenShare = 16;  // of large tokens: what is read in a few milliseconds says little of half a second

}  // namespace

int64_t tokens_between_readings(int64_t token_bytes) {
  return token_bytes > 0 ? (kGroupBytes + token_bytes - 1) / token_bytes : std::numeric_limits<int64_t>::max();
}

double share_of_passes(int64_t bytes, double seconds, double before, double after) {
  return static_cast<double>(bytes) / seconds / 1e9 * 0.5 * (1.0 / before + 1.0 / after);
}

Yardstick::Yardstick(int threads, int64_t token_bytes, int64_t spoken_for) : memory_(threads, spoken_for), token_bytes_(token_bytes) {}

void Yardstick::read() {
  const int64_t bytes = std::max(kPassBytes, token_bytes_ / kTokenShare);
  one_.push_back(memory_.measure(ReadBandwidth::Streams::kOne, bytes));
  four_.push_back(memory_.measure(ReadBandwidth::Streams::kFour, bytes));
}

void Yardstick::add_group(int64_t tokens, double seconds) {
  shares_.push_back(share_of_passes(tokens * token_bytes_, seconds, one_[one_.size() - 2], one_.back()));
}

double Yardstick::one_stream() const { return median(one_) * 1e9; }
double Yardstick::four_streams() const { return median(four_) * 1e9; }
double Yardstick::share() const { return median(shares_); }

}  // namespace dsv4
