// Several sequences in one call of the op Attention: each gets what it gets alone, bit for bit; runs that are none are refused before anything is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/attention_case.h"

namespace dsv4::ops::testing {
namespace {

using ::testing::HasSubstr;
using Numbers = std::array<int32_t, 4>;

AttentionCase case_of(int64_t ratio, bool overlap, CachePrecision type) {
  AttentionCase c;
  c.attributes = {.layer = 1,
                  .heads = 4,
                  .head_dim = 16,
                  .rope_dim = 8,
                  .groups = 2,
                  .window = 5,
                  .ratio = ratio,
                  .overlap = overlap,
                  .index_heads = overlap ? 2 : 0,
                  .index_head_dim = overlap ? 8 : 0,
                  .index_topk = overlap ? 3 : 0};
  c.type = type;
  return c;
}

/// A sequence that has been fed up to `position` alone.
struct Sequence {
  std::vector<float> x;
  ov::Tensor cache;
  CacheSlot slot;
  int64_t position = 0;
  std::vector<float> expected;  ///< of all tokens, alone
};

TEST(Runs, GiveEverySequenceWhatItGetsAlone) {
  for (const auto& [ratio, overlap] : {std::pair{0, false}, {4, true}, {7, false}}) {
    for (const CachePrecision type : {CachePrecision::kF32, CachePrecision::kBF16}) {
      AttentionCase c = case_of(ratio, overlap, type);
      const CaseWeights weights = random_weights(c);
      const CacheLayout layout = layout_of(c, c.tokens);
      Runner runner(c, weights);
      std::mt19937 random(static_cast<uint32_t>(5 + ratio));
      std::vector<Sequence> sequences;
      for (uint32_t i = 0; i < 8; ++i) {
        std::vector<float> x = random_values(c.tokens * c.hidden, 0.0f, 1.0f, 100 + i);
        std::vector<float> expected = runner.run_all(new_cache(layout), x, {c.tokens});
        const ov::Tensor cache = new_cache(layout);
        sequences.push_back({std::move(x), cache, slot_of(cache), 0, std::move(expected)});
      }
      // Calls of some of them, in any order, with one row or a piece each, until all are at their ends.
      for (size_t left = 8; left > 0;) {
        std::shuffle(sequences.begin(), sequences.end(), random);
        std::vector<Numbers> runs;
        std::vector<float> x;
        std::vector<Sequence*> members;
        int32_t row = 0;
        for (Sequence& s : sequences) {
          const int64_t room = c.tokens - s.position;
          if (room == 0 || random() % 4 == 0) continue;
          const auto n = static_cast<int32_t>(std::min<int64_t>(room, random() % 3 == 0 ? 1 + random() % 20 : 1));
          runs.push_back({row, n, static_cast<int32_t>(s.position), s.slot.id()});
          const float* from = s.x.data() + s.position * c.hidden;
          x.insert(x.end(), from, from + n * c.hidden);
          members.push_back(&s);
          row += n;
        }
        if (runs.empty()) continue;
        const std::vector<float> out = runner.run(runs, x.data(), row);
        for (size_t i = 0; i < runs.size(); ++i) {
          const auto width = static_cast<size_t>(c.hidden);
          const float* found = out.data() + static_cast<size_t>(runs[i][0]) * width;
          const float* expected = members[i]->expected.data() + static_cast<size_t>(runs[i][2]) * width;
          ASSERT_EQ(std::memcmp(found, expected, static_cast<size_t>(runs[i][1]) * width * sizeof(float)), 0)
              << "ratio " << ratio << " position " << runs[i][2] << " rows " << runs[i][1];
          members[i]->position += runs[i][1];
          if (members[i]->position == c.tokens) --left;
        }
      }
    }
  }
}

TEST(Runs, ThatAreNoneAreRefusedAndNothingIsWritten) {
  const AttentionCase c = case_of(4, true, CachePrecision::kF32);
  Runner runner(c, random_weights(c));
  const CacheLayout layout = layout_of(c, 10);
  const ov::Tensor caches[] = {new_cache(layout), new_cache(layout)};
  const CacheSlot slots[] = {slot_of(caches[0]), slot_of(caches[1])};
  AttentionCase other = c;
  other.type = CachePrecision::kBF16;
  const ov::Tensor of_other_type = new_cache(layout_of(other, 10));
  const CacheSlot slot_of_other_type = slot_of(of_other_type);
  const int32_t a = slots[0].id(), b = slots[1].id();
  int32_t gone = 0;
  {
    const CacheSlot shortly = slot_of(caches[0]);
    gone = shortly.id();
  }
  const std::vector<uint8_t> before(caches[0].data<uint8_t>(), caches[0].data<uint8_t>() + caches[0].get_byte_size());
  const std::vector<float> x = random_values(4 * c.hidden, 0.0f, 1.0f, 1);
  const auto refused = [&](const std::vector<Numbers>& runs, const char* why) {
    try {
      runner.run(runs, x.data(), 4);
      FAIL() << "taken: " << why;
    } catch (const ov::Exception& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  refused({}, "end at row 0 of 4");
  refused({{0, 3, 0, a}}, "end at row 3 of 4");
  refused({{0, 2, 0, a}, {3, 1, 0, b}}, "begins at row 3");
  refused({{0, 3, 0, a}, {2, 2, 0, b}}, "begins at row 2");
  refused({{1, 3, 0, a}, {0, 1, 0, b}}, "begins at row 1");
  refused({{-1, 5, 0, a}}, "begins at row -1");
  refused({{0, 5, 0, a}}, "has 5 rows");
  refused({{0, 0, 0, a}, {0, 4, 0, b}}, "has 0 rows");
  refused({{0, -4, 0, a}}, "has -4 rows");
  refused({{0, INT32_MAX, 0, a}}, "rows from row 0 of 4");
  refused({{0, 2, 0, a}, {2, 2, 2, a}}, "twice");
  refused({{0, 4, 7, a}}, "of a cache for 10");
  refused({{0, 4, -1, a}}, "position -1");
  refused({{0, 4, INT32_MAX, a}}, "of a cache for 10");
  refused({{0, 4, 0, gone}}, "no sequence has the slot");
  refused({{0, 4, 0, 0}}, "no sequence has the slot 0");
  refused({{0, 4, 0, INT32_MIN}}, "no sequence has the slot");
  refused({{0, 2, 0, a}, {2, 2, 0, slot_of_other_type.id()}}, "another type");
  refused({{0, 1, 0, a}, {1, 1, 0, b}, {2, 1, 0, a}, {3, 1, 0, b}, {4, 1, 0, a}}, "5 for 4 rows");
  EXPECT_EQ(std::memcmp(before.data(), caches[0].data(), before.size()), 0);
  EXPECT_EQ(runner.run({{0, 2, 0, b}, {2, 2, 0, a}}, x.data(), 4).size(), x.size());
  // Behind them runs of no rows are none, whatever else they say.
  EXPECT_EQ(runner.run({{0, 2, 2, b}, {2, 2, 2, a}, {7, 0, -1, a}, {0, 0, 0, 0}}, x.data(), 4).size(), x.size());
  EXPECT_TRUE(runner.run(std::vector<Numbers>{{0, 0, 0, 0}}, x.data(), 0).empty());
}

TEST(CacheSlot, NumbersAreNotGivenAgainSoon) {
  std::vector<std::byte> memory(64);
  std::vector<int32_t> seen;
  for (int i = 0; i < 100; ++i) seen.push_back(CacheSlot(memory).id());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
  CacheSlot first(memory), second(std::move(first));
  EXPECT_EQ(cache_of_slot(second.id()).data(), memory.data());
  EXPECT_THROW(cache_of_slot(seen.front()), ov::Exception);
}

}  // namespace
}  // namespace dsv4::ops::testing
