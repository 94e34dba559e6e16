// Reading memory as fast as it goes: vector loads, nothing else.
#include "runtime/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "checkpoint/helper_threads.h"
#include "dsv4/error.h"
#include "runtime/available_memory.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/read_bandwidth.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dsv4::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Exclusive or of all words: the loads cannot be left out. n is a multiple of 1024.
uint64_t read_words(const uint64_t* words, int64_t n) {
  const hn::ScalableTag<uint64_t> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t i = 0; i < n; i += 4 * lanes) {
    a = hn::Xor(a, hn::Load(d, words + i));
    b = hn::Xor(b, hn::Load(d, words + i + lanes));
    c = hn::Xor(c, hn::Load(d, words + i + 2 * lanes));
    e = hn::Xor(e, hn::Load(d, words + i + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Xor(hn::Xor(a, b), hn::Xor(c, e))));
}

}  // namespace dsv4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4 {

HWY_EXPORT(read_words);

namespace {

constexpr int64_t kMost = int64_t{1} << 30, kLeast = int64_t{1} << 26, kUnit = 8192;  // bytes

int64_t yardstick_bytes() {
  const int64_t available = static_cast<int64_t>(std::min<uint64_t>(available_memory(), uint64_t{1} << 62));
  const int64_t bytes = std::min(kMost, available / 4);
  if (bytes < kLeast) fail("the read bandwidth cannot be measured: ", available / 1000000, " MB of memory are available");
  return bytes;
}

}  // namespace

ReadBandwidth::ReadBandwidth(int threads)
    : memory_(yardstick_bytes(), "measuring the read bandwidth", LazyMemory::Pages::kHuge), threads_(std::max(threads, 1)) {
  std::memset(memory_.data(), 1, static_cast<size_t>(memory_.size()));
}

double ReadBandwidth::measure() {
  const int64_t part = memory_.size() / threads_ / kUnit * kUnit;
  std::vector<uint64_t> sums(static_cast<size_t>(threads_));
  const auto start = std::chrono::steady_clock::now();
  std::atomic<int> next = 0;
  run_with_helpers(threads_ - 1, [&] {
    for (int t = next++; t < threads_; t = next++) {
      const auto* words = reinterpret_cast<const uint64_t*>(memory_.data() + t * part);
      sums[static_cast<size_t>(t)] = HWY_DYNAMIC_DISPATCH(read_words)(words, part / 8);
    }
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // The sums are of known words: a pass that read nothing would show.
  const bool read = std::all_of(sums.begin(), sums.end(), [](uint64_t sum) { return sum == 0; });
  return read ? static_cast<double>(part) * threads_ / seconds / 1e9 : 0.0;
}

}  // namespace dsv4
#endif  // HWY_ONCE
