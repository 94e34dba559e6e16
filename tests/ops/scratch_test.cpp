// Working memory of operations: places that do not overlap, one piece once sizes are known, and none left to take.
#include "ops/support/scratch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <new>

#include "openvino/op/parameter.hpp"
#include "ops/hyper_connect/hyper_connect.h"

namespace dsv4::ops {
namespace {

constexpr int64_t kMegabyte = int64_t{1} << 20;

TEST(Scratch, GivesPlacesOfTheirOwn) {
  Scratch scratch;
  auto* bytes = scratch.take<std::byte>(3);
  auto* floats = scratch.take<float>(1000);
  auto* more = scratch.take<double>(kMegabyte);
  for (const void* place : {static_cast<void*>(bytes), static_cast<void*>(floats), static_cast<void*>(more)}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 64, 0u);
  }
  std::fill_n(bytes, 3, std::byte{1});
  std::fill_n(floats, 1000, 2.0f);
  std::fill_n(more, kMegabyte, 3.0);
  EXPECT_EQ(bytes[2], std::byte{1});
  EXPECT_EQ(floats[0], 2.0f);
  EXPECT_EQ(floats[999], 2.0f);
}

TEST(Scratch, HasOneBlockOnceItsSizeIsKnown) {
  const auto distances = [] {
    Scratch scratch;
    const auto* first = scratch.take<std::byte>(4 * kMegabyte);
    const auto* second = scratch.take<std::byte>(5 * kMegabyte);
    const auto* third = scratch.take<std::byte>(6 * kMegabyte);
    return std::pair{second - first, third - second};
  };
  distances();
  EXPECT_EQ(distances(), (std::pair<ptrdiff_t, ptrdiff_t>{4 * kMegabyte, 5 * kMegabyte}));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
rlim_t used_address_space() {
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

/// No allocation of a megabyte or more succeeds; exits with what went wrong.
[[noreturn]] void run_without_memory() {
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  const rlim_t before = limit.rlim_cur;
  {
    Scratch scratch;
    scratch.take<std::byte>(40 * kMegabyte);
    scratch.take<std::byte>(20 * kMegabyte);
    limit.rlim_cur = used_address_space() - 61 * kMegabyte;  // what its end gives back cannot be taken again
    if (setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(3);
  }
  bool refused = false;
  try {
    Scratch scratch;
    scratch.take<std::byte>(30 * kMegabyte);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  limit.rlim_cur = before;
  setrlimit(RLIMIT_AS, &limit);
  if (!refused) std::_Exit(4);
  Scratch scratch;
  std::fill_n(scratch.take<std::byte>(30 * kMegabyte), 30 * kMegabyte, std::byte{1});
  std::_Exit(0);
}

TEST(ScratchDeathTest, EndsWithoutTakingMemory) { EXPECT_EXIT(run_without_memory(), testing::ExitedWithCode(0), ""); }
#endif

// A crafted IR may state any sizes as long as its inputs have them: no product of them is formed before they are known to be small.
TEST(HostileSizes, OfHyperConnectionsAreRefused) {
  const auto input = [](ov::element::Type type, const ov::PartialShape& shape) {
    return std::make_shared<ov::op::v0::Parameter>(type, shape);
  };
  const int64_t f32 = static_cast<int64_t>(NumberFormat::kF32), huge = int64_t{1} << 40;
  for (const int64_t cols : {huge, int64_t{1} << 33, int64_t{65}, int64_t{3} << 31}) {
    WeightInputs weights;
    const auto add = [&](int64_t rows, int64_t columns) {
      weights.nodes.push_back(input(ov::element::u8, {rows * columns * 4}));
      weights.parts.insert(weights.parts.end(), {1, f32, 1, rows, columns, 0});
    };
    add(1, cols);  // fn
    add(1, 24);    // base
    add(1, 3);     // scale
    add(1, 1);     // norm
    EXPECT_THROW(HyperConnect(input(ov::element::f32, {-1, 4, 1}), nullptr, weights, {}), ov::NodeValidationFailure) << cols;
  }
}

}  // namespace
}  // namespace dsv4::ops
