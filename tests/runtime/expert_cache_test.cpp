// The expert cache against plain copies of the same bytes: parts that begin anywhere, reads that come late, fail or never get a slot.
#include "runtime/expert_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "dsv4/error.h"

namespace dsv4 {
namespace {

using ops::ExpertDemand;
using ops::ExpertLeases;
using ops::ExpertPart;
using ops::PackedMatrix;
using testing::HasSubstr;

constexpr size_t kBlock = 512;

/// A file of random bytes with the stacks of some layers in it, each tensor at an offset of its own.
class File {
 public:
  File(NumberFormat type, int64_t layers, int64_t experts, bool zero_points = false) : zero_points_(zero_points) {
    for (int64_t l = 0; l < layers; ++l) stacks.push_back({stack(type, experts, 3, 96), stack(type, experts, 5, 32)});
    std::mt19937 random(7);
    bytes.resize(size_ + 33);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    for (ExpertStacks& layer : stacks) {
      for (StackedWeights* weights : {&layer.gate_up, &layer.down}) {
        weights->mapped.codes = bytes.data() + weights->codes;
        if (weights->mapped.group > 0) weights->mapped.scales = bytes.data() + weights->scales;
        if (weights->mapped.group > 0 && zero_points_) weights->mapped.zero_points = bytes.data() + weights->zero_points;
      }
    }
  }

  ExpertLayout layout() const { return {stacks, kBlock}; }

  /// As DirectFile reads: whole blocks, what is behind the end of the file excepted.
  void read(uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) const {
    EXPECT_TRUE(begin % kBlock == 0 && end % kBlock == 0 && reinterpret_cast<uintptr_t>(to) % kBlock == 0 && needed <= bytes.size());
    std::memcpy(to, bytes.data() + begin, std::min<uint64_t>(end, bytes.size()) - begin);
  }
  ExpertCache::Read reader() const {
    return [this](uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) { read(begin, end, needed, to); };
  }

  std::vector<std::byte> bytes;
  std::vector<ExpertStacks> stacks;

 private:
  StackedWeights stack(NumberFormat type, int64_t experts, int64_t rows, int64_t cols) {
    StackedWeights weights;
    PackedMatrix& m = weights.mapped;
    m = {type, experts, rows, cols, is_scaled(type) ? 32 : 0};
    m.scale = is_scaled(type) ? row_of(type).scale : m.scale;
    weights.codes = place(m.code_bytes());
    if (m.group > 0) weights.scales = place(m.scale_bytes());
    if (m.group > 0 && zero_points_) weights.zero_points = place(m.zero_point_bytes());
    return weights;
  }
  uint64_t place(int64_t n) {
    const uint64_t begin = size_ + 77;  // odd residues, and far apart
    size_ = begin + static_cast<uint64_t>(n) + 1500;
    return begin;
  }

  bool zero_points_;
  size_t size_ = 0;
};

ExpertCache::Options options_for(const File& file, int64_t slots, int64_t per_token = 2) {
  ExpertCache::Options options;
  options.experts_per_token = per_token;
  options.budget = slots * static_cast<int64_t>(file.layout().slot_bytes());
  return options;
}

std::vector<ExpertDemand> demands(std::initializer_list<int> experts) {
  std::vector<ExpertDemand> list;
  for (const int expert : experts) list.push_back({expert, 1});
  return list;
}

/// Bytes of the codes, scales and zero points of a matrix, and where its first zero point is in them.
std::vector<std::byte> content(const PackedMatrix& m) {
  std::vector<std::byte> all(m.codes, m.codes + m.rows * m.row_bytes());
  if (m.scales) all.insert(all.end(), m.scales, m.scales + m.scale_bytes());
  for (int64_t i = 0; m.zero_points && i < m.rows * m.groups(); ++i) {
    const int64_t at = m.first_zero_point + i;
    const int shift = at % 2 == 0 ? 0 : 4;
    all.push_back(is_four_bits(m.type) ? (m.zero_points[at / 2] >> shift) & std::byte{15} : m.zero_points[at]);
  }
  return all;
}

/// Goes through all groups of a call and compares every matrix with the file.
void use(ExpertCache& cache, const File& file, int64_t layer, std::span<const ExpertDemand> experts) {
  const std::unique_ptr<ExpertLeases> leases = cache.acquire(layer, experts);
  ASSERT_EQ(leases->order().size(), experts.size());
  std::map<int32_t, int> seen;
  for (auto group = leases->next(); !group.empty(); group = leases->next()) {
    for (const ExpertPart part : {ExpertPart::kGateUp, ExpertPart::kDown}) {
      for (size_t left = group.end - group.begin; left > 0;) {
        const std::span<const int32_t> there = leases->arrived(part, true);
        ASSERT_FALSE(there.empty());
        for (const int32_t i : there) {
          const int32_t expert = leases->order()[static_cast<size_t>(i)].expert;
          const ExpertStacks& stacks = file.stacks[static_cast<size_t>(layer)];
          const PackedMatrix& stack = part == ExpertPart::kGateUp ? stacks.gate_up.mapped : stacks.down.mapped;
          ASSERT_EQ(content(leases->matrix(static_cast<size_t>(i), part)), content(stack.at(expert)));
          ++seen[expert];
        }
        left -= there.size();
      }
    }
  }
  for (const ExpertDemand& demand : experts) ASSERT_EQ(seen[demand.expert], 2);
}

TEST(ExpertCache, HasTheFilesBytesWhereverPartsBegin) {
  for (const NumberFormat type :
       {NumberFormat::kU4, NumberFormat::kI4, NumberFormat::kU8, NumberFormat::kF4E2M1, NumberFormat::kF16, NumberFormat::kF32}) {
    const bool zero_points = type == NumberFormat::kU4 || type == NumberFormat::kU8;
    const File file(type, 3, 7, zero_points);
    for (const int64_t slots : {12, 16, 21}) {
      ExpertCache cache(file.layout(), file.reader(), options_for(file, slots));
      std::mt19937 random(1);
      for (int n = 0; n < 200; ++n) {
        const int a = static_cast<int>(random() % 7), b = (a + 1 + static_cast<int>(random() % 6)) % 7;
        use(cache, file, n % 3, demands({a, b}));
      }
      use(cache, file, 1, demands({0, 1, 2, 3, 4, 5, 6}));
      EXPECT_EQ(cache.slots(), slots);
      EXPECT_EQ(cache.counts().in_place, 0);
    }
  }
}

TEST(ExpertCache, ReadsAnExpertThatFitsOnce) {
  const File file(NumberFormat::kU4, 2, 6);
  ExpertCache cache(file.layout(), file.reader(), options_for(file, 12));
  for (int n = 0; n < 5; ++n) {
    for (const int layer : {0, 1}) use(cache, file, layer, demands({0, 1, 2, 3, 4, 5}));
  }
  int64_t blocks = 0;
  const ExpertLayout layout = file.layout();
  for (size_t layer = 0; layer < 2; ++layer) {
    for (size_t expert = 0; expert < 6; ++expert) {
      for (const auto& window : layout.windows(layer, expert)) blocks += static_cast<int64_t>(window.end - window.begin);
    }
  }
  EXPECT_EQ(cache.counts().bytes_read, blocks);
  EXPECT_EQ(cache.counts().requests, 60);
  EXPECT_EQ(cache.counts().hits, 48);
}

TEST(ExpertCache, RefusesLessThanTwoTokensNeed) {
  const File file(NumberFormat::kU4, 3, 7);
  try {
    ExpertCache cache(file.layout(), file.reader(), options_for(file, 11));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("too small"), HasSubstr("the experts of two tokens take")));
  }
}

TEST(ExpertCache, SaysThatNoThreadCanBeMade) {
  const File file(NumberFormat::kU4, 1, 7);
  ExpertCache::Options options = options_for(file, 7);
  options.readers = 0;
  try {
    ExpertCache cache(file.layout(), file.reader(), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no thread can be made to read experts"));
  }
}

TEST(ExpertCache, ServesSeveralCallsWhileReadsComeLateInAnyOrder) {
  const File file(NumberFormat::kU4, 3, 7, true);
  std::atomic<uint32_t> state{1};
  const auto late = [&](uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) {
    std::this_thread::sleep_for(std::chrono::microseconds((state += 2654435761u) >> 24));
    file.read(begin, end, needed, to);
  };
  ExpertCache cache(file.layout(), late, options_for(file, 12));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int n = 0; n < 60; ++n) {
        const int a = static_cast<int>(random() % 7), b = (a + 1 + static_cast<int>(random() % 6)) % 7;
        cache.expect(n % 3, std::vector<int32_t>{a});
        use(cache, file, n % 3, n % 10 == 9 ? demands({0, 1, 2, 3, 4, 5, 6}) : demands({a, b}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ExpertCache, EndsWhileReadsAreOnTheirWay) {
  const File file(NumberFormat::kU4, 3, 7);
  const auto slow = [&](uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    file.read(begin, end, needed, to);
  };
  for (int n = 0; n < 5; ++n) {
    ExpertCache cache(file.layout(), slow, options_for(file, 12));
    cache.acquire(0, demands({0, 1, 2}));  // and given back at once
  }
}

TEST(ExpertCache, EmptiesASlotWhoseReadFailedAndReadsItAgain) {
  const File file(NumberFormat::kU4, 1, 7);
  std::atomic<bool> broken{true};
  const auto read = [&](uint64_t begin, uint64_t end, uint64_t needed, std::byte* to) {
    std::memset(to, 0x55, end - begin);
    if (broken) fail("F: cannot read at byte ", begin);
    file.read(begin, end, needed, to);
  };
  ExpertCache cache(file.layout(), read, options_for(file, 7));
  for (int n = 0; n < 3; ++n) {
    const auto leases = cache.acquire(0, demands({2, 5}));
    leases->next();
    try {
      for (int i = 0; i < 2; ++i) leases->arrived(ExpertPart::kGateUp, true);
      FAIL();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("F: cannot read at byte"));
    }
  }
  broken = false;
  use(cache, file, 0, demands({2, 5}));
  use(cache, file, 0, demands({0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(cache.counts().in_place, 0);  // every slot came back
}

TEST(ExpertCache, ReadsInPlaceWhatGetsNoSlot) {
  const File file(NumberFormat::kU4, 1, 7);
  ExpertCache cache(file.layout(), file.reader(), options_for(file, 4));
  std::vector<std::unique_ptr<ExpertLeases>> held;
  for (const int first : {0, 1, 2, 3}) {
    held.push_back(cache.acquire(0, demands({first})));
    held.back()->next();
    for (const ExpertPart part : {ExpertPart::kGateUp, ExpertPart::kDown}) held.back()->arrived(part, true);
  }
  use(cache, file, 0, demands({4, 5, 6}));
  EXPECT_EQ(cache.counts().in_place, 3);
  held.clear();
  use(cache, file, 0, demands({4, 5, 6}));
  EXPECT_EQ(cache.counts().in_place, 3);
}

TEST(ExpertCache, GivesSlotsBackWhenMemoryBecomesScarce) {
  const File file(NumberFormat::kU4, 1, 40);
  std::atomic<uint64_t> available{1u << 30};
  std::vector<std::string> lines;
  ExpertCache::Options options = options_for(file, 40);
  const auto slot = static_cast<uint64_t>(file.layout().slot_bytes());
  options.reserve = 20 * slot;
  options.available = [&] { return available.load(); };
  options.notice = [&](const std::string& line) { lines.push_back(line); };
  ExpertCache cache(file.layout(), file.reader(), options);
  const auto some_tokens = [&] {
    std::mt19937 random(3);
    for (int n = 0; n < 200; ++n) {
      const int a = static_cast<int>(random() % 40), b = (a + 1 + static_cast<int>(random() % 39)) % 40;
      use(cache, file, 0, demands({a, b}));
    }
  };
  some_tokens();
  EXPECT_EQ(cache.slots(), 40);
  available = 8 * slot;
  use(cache, file, 0, demands({1, 2}));
  while (cache.slots() == 40) use(cache, file, 0, demands({1, 2}));
  available = 20 * slot;
  EXPECT_EQ(cache.slots(), 28);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("gave back"));
  some_tokens();
  EXPECT_EQ(cache.slots(), 28);
  available = 0;
  some_tokens();
  EXPECT_EQ(cache.slots(), 4);  // two tokens' experts
  EXPECT_THAT(lines.back(), HasSubstr("cannot give back any"));
  EXPECT_EQ(cache.counts().in_place, 0);
}

TEST(ExpertCache, FillsFreeSlotsWithTheMostUsedOnes) {
  const File file(NumberFormat::kU4, 1, 10);
  ExpertCache cache(file.layout(), file.reader(), options_for(file, 4));
  cache.fill(std::vector<float>{0, 5, 1, 9, 0, 7, 2, 0, 8, 0});
  int64_t bytes = 0;
  const ExpertLayout layout = file.layout();
  for (const size_t expert : {1, 3, 5, 8}) {
    for (const auto& window : layout.windows(0, expert)) bytes += static_cast<int64_t>(window.end - window.begin);
  }
  while (cache.counts().bytes_read < bytes) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  use(cache, file, 0, demands({1, 3, 5, 8}));
  EXPECT_EQ(cache.counts().hits, 4);
  use(cache, file, 0, demands({0}));
  EXPECT_EQ(cache.counts().hits, 4);
}

TEST(ExpertCache, KeepsWhatItHasThroughPromptsThatUseEveryExpert) {
  const File file(NumberFormat::kU4, 6, 40);
  ExpertCache cache(file.layout(), file.reader(), options_for(file, 120));  // half of them
  std::vector<ExpertDemand> all;
  for (int expert = 0; expert < 40; ++expert) all.push_back({expert, 1 + (expert * 7 + 3) % 11});
  const auto prompt = [&] {
    const ExpertCounts before = cache.counts();
    for (int layer = 0; layer < 6; ++layer) use(cache, file, layer, all);
    return cache.counts().since(before);
  };
  EXPECT_EQ(prompt().hits, 0);
  for (int n = 0; n < 3; ++n) {
    const ExpertCounts counts = prompt();
    EXPECT_GE(counts.hits, 120 - 2 * 16) << "all that there is room for but two groups, in which the others come";
    EXPECT_EQ(counts.in_place, 0);
  }
}

TEST(ExpertCache, KeepsOfAPromptWhatItUsedMostInAnyLayer) {
  const File file(NumberFormat::kU4, 4, 40);
  ExpertCache cache(file.layout(), file.reader(), options_for(file, 80));
  std::vector<ExpertDemand> all;
  for (int expert = 0; expert < 40; ++expert) all.push_back({expert, expert % 4 == 0 ? 50 : 1});
  for (int layer = 0; layer < 4; ++layer) use(cache, file, layer, all);
  const int64_t hits = cache.counts().hits;
  for (int layer = 0; layer < 4; ++layer) use(cache, file, layer, demands({0, 16}));
  EXPECT_EQ(cache.counts().hits, hits + 8);
}

/// The definition: a sum over all requests of 2 to the minus age, in half-lives of 32 tokens.
TEST(ExpertPolicy, EvictsTheOneThatWasUsedLeastOfLate) {
  constexpr size_t kExperts = 60, kSlots = 20;
  ExpertPolicy policy(1, kExperts);
  std::vector<std::vector<double>> requests(kExperts);
  std::vector<size_t> resident;
  std::mt19937 random(5);
  std::geometric_distribution<size_t> skewed(0.05);
  double now = 0.0;
  for (int n = 0; n < 5000; ++n) {
    const size_t expert = (skewed(random) + static_cast<size_t>(n) / 500 * 7) % kExperts;
    now += 1.0 / 32.0;
    policy.begin(0, 1);
    policy.request(expert, 1, 1);
    requests[expert].push_back(now);
    if (std::find(resident.begin(), resident.end(), expert) != resident.end()) continue;
    if (resident.size() == kSlots) {
      const auto frequency = [&](size_t e) {
        double sum = 0.0;
        for (const double at : requests[e]) sum += std::exp2(at - now);
        return sum;
      };
      const auto least =
          std::min_element(resident.begin(), resident.end(), [&](size_t a, size_t b) { return frequency(a) < frequency(b); });
      const auto victim = static_cast<size_t>(policy.evict([](size_t) { return true; }));
      ASSERT_NEAR(frequency(victim), frequency(*least), 1e-9 * frequency(*least));
      std::erase(resident, victim);
    }
    policy.admit(expert);
    resident.push_back(expert);
  }
}

TEST(ExpertPolicy, PassesOverThoseThatMayNotGo) {
  ExpertPolicy policy(1, 4);
  for (const size_t expert : {0, 1, 2, 3}) {
    policy.begin(0, 1);
    policy.request(expert, 1, 1);
    policy.admit(expert);
  }
  EXPECT_EQ(policy.evict([](size_t expert) { return expert > 1; }), 2);
  EXPECT_EQ(policy.evict([](size_t) { return false; }), -1);
  EXPECT_EQ(policy.evict([](size_t) { return true; }), 0);
  policy.forget(1);
  EXPECT_EQ(policy.evict([](size_t) { return true; }), 3);
  EXPECT_EQ(policy.evict([](size_t) { return true; }), -1);
}

TEST(ExpertPolicy, GoesOnFromSavedFrequencies) {
  ExpertPolicy first(1, 8), second(1, 8);
  std::mt19937 random(2);
  for (int n = 0; n < 300; ++n) {
    first.begin(0, 1);
    first.request(random() % 7, 1, 1);
  }
  second.set_frequencies(first.frequencies());
  for (int n = 0; n < 10; ++n) {
    const size_t expert = random() % 7;
    first.begin(0, 1);
    second.begin(0, 1);
    first.request(expert, 1, 1);
    second.request(expert, 1, 1);
  }
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(first.frequencies()[i], second.frequencies()[i], 1e-5f);
  EXPECT_EQ(first.frequencies()[7], 0.0f);
}

}  // namespace
}  // namespace dsv4
