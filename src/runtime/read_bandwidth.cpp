// Reading memory as fast as it goes: vector loads, nothing else.
#include "runtime/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "dsv4/error.h"
#include "ops/support/parallel.h"
#include "runtime/available_memory.h"
#include "runtime/measure.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/read_bandwidth.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dsv4::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::CappedTag<uint64_t, 8>;  // a cache line at most

/// The sum of n words, a multiple of 32: no load can be left out.
uint64_t sum_words(const uint64_t* words, int64_t n) {
  const Words d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t i = 0; i < n; i += 4 * lanes) {
    a = hn::Add(a, hn::Load(d, words + i));
    b = hn::Add(b, hn::Load(d, words + i + lanes));
    c = hn::Add(c, hn::Load(d, words + i + 2 * lanes));
    e = hn::Add(e, hn::Load(d, words + i + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

/// The same of four runs of n / 4 words that begin `far` words apart, a line of each by turns.
uint64_t sum_far_words(const uint64_t* words, int64_t n, int64_t far) {
  const Words d;
  constexpr int64_t kLine = 8;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = a, c = a, e = a;
  for (int64_t line = 0; line < n / 4; line += kLine) {
    for (int64_t i = line; i < line + kLine; i += lanes) {
      a = hn::Add(a, hn::Load(d, words + i));
      b = hn::Add(b, hn::Load(d, words + i + far));
      c = hn::Add(c, hn::Load(d, words + i + 2 * far));
      e = hn::Add(e, hn::Load(d, words + i + 3 * far));
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

}  // namespace dsv4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4 {

HWY_EXPORT(sum_words);
HWY_EXPORT(sum_far_words);

namespace {

constexpr int64_t kMost = int64_t{1} << 30, kLeast = int64_t{1} << 26, kPiece = int64_t{1} << 18, kHugePage = int64_t{1} << 21;  // bytes
constexpr int64_t kPieceWords = kPiece / static_cast<int64_t>(sizeof(uint64_t));
constexpr uint64_t kWord = 0x0101010101010101;  // in all of the memory

int64_t yardstick_bytes(int64_t spoken_for) {
  const int64_t available = static_cast<int64_t>(std::min<uint64_t>(available_memory(), uint64_t{1} << 62)) - spoken_for;
  const int64_t bytes = std::min(kMost, available / 4) / kHugePage * kHugePage;
  if (bytes < kLeast) fail("the read bandwidth cannot be measured: ", available / 1000000, " MB of memory are available");
  return bytes;
}

}  // namespace

ReadBandwidth::ReadBandwidth(int threads, int64_t spoken_for)
    : memory_(yardstick_bytes(spoken_for), "measuring the read bandwidth", LazyMemory::Pages::kHuge), arena_(std::max(threads, 1)) {
  // By all threads: with several memory nodes a page lies where it is touched first.
  arena_.execute([this] {
    ops::parallel_pieces(memory_.size() / kHugePage, 1, [this](int64_t begin, int64_t end) {
      std::memset(memory_.data() + begin * kHugePage, 1, static_cast<size_t>((end - begin) * kHugePage));
    });
  });
}

double ReadBandwidth::measure(Streams streams, int64_t bytes) {
  const bool four = streams == Streams::kFour;
  const auto* words = reinterpret_cast<const uint64_t*>(memory_.data() + (four ? memory_.size() / 2 : 0));
  const int64_t pieces = memory_.size() / 2 / kPiece, count = std::clamp<int64_t>(bytes / kPiece, 1, pieces),
                far = pieces * kPieceWords / 4;
  int64_t& next = next_[four ? 1 : 0];
  std::atomic<uint64_t> sum{0};
  const double passed = seconds([&] {
    arena_.execute([&] {
      ops::parallel_pieces(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t piece = (next + i) % pieces;
          sum += four ? HWY_DYNAMIC_DISPATCH(sum_far_words)(words + piece * (kPieceWords / 4), kPieceWords, far)
                      : HWY_DYNAMIC_DISPATCH(sum_words)(words + piece * kPieceWords, kPieceWords);
        }
      });
    });
  });
  next = (next + count) % pieces;
  // A pass that left something out would show.
  const bool read = sum == static_cast<uint64_t>(count * kPieceWords) * kWord;
  return read ? static_cast<double>(count * kPiece) / passed / 1e9 : 0.0;
}

}  // namespace dsv4
#endif  // HWY_ONCE
