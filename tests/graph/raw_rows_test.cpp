// The layout of a compressor's raw rows against a plain statement of what each place of a row holds.
#include "graph/portable/raw_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>

namespace dsv4 {
namespace {

/// What a channel of a raw row is: K or Z, of which compressor, of which half of its channels, and which channel of that half.
struct Channel {
  char what;
  bool indexer;
  int half;
  int64_t channel;
  bool operator==(const Channel&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Channel& c) {
  return out << c.what << (c.indexer ? " indexer" : " main") << " half " << c.half << " channel " << c.channel;
}

/// [K main | Z main | K indexer | Z indexer], two halves each.
std::vector<Channel> overlapping_row(int64_t head_dim, int64_t index_head_dim) {
  std::vector<Channel> row;
  for (const bool indexer : {false, true}) {
    for (const char what : {'K', 'Z'}) {
      for (int half = 0; half < 2; ++half) {
        for (int64_t channel = 0; channel < (indexer ? index_head_dim : head_dim); ++channel) row.push_back({what, indexer, half, channel});
      }
    }
  }
  return row;
}

Config dims(int64_t head_dim, int64_t index_head_dim) {
  Config config;
  config.head_dim = head_dim;
  config.index_head_dim = index_head_dim;
  return config;
}

class OverlappingLayout : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {};

TEST_P(OverlappingLayout, TakesFirstHalvesOfThePreviousBlockAndSecondHalvesOfItsOwn) {
  const auto [head_dim, index_head_dim, m] = GetParam();
  const LayerConfig layer = {.kind = LayerKind::kCsa, .compress_ratio = m, .hash_routed = false};
  const RawLayout layout = raw_layout(dims(head_dim, index_head_dim), layer);
  const std::vector<Channel> row = overlapping_row(head_dim, index_head_dim);

  ASSERT_EQ(layout.width, static_cast<int64_t>(row.size()));
  ASSERT_EQ(layout.chunk * layout.row_chunks, layout.width);
  ASSERT_EQ(layout.chunk * layout.entry_chunks, head_dim + index_head_dim);
  ASSERT_EQ(layout.k_chunks.size(), static_cast<size_t>(2 * m * layout.entry_chunks));
  ASSERT_EQ(layout.z_chunks.size(), layout.k_chunks.size());

  // Read through the chunks as one Gather would: entry channel e of pooled row q is at channel `place`, counted from its own row.
  for (int64_t q = 0; q < 2 * m; ++q) {
    for (int64_t e = 0; e < head_dim + index_head_dim; ++e) {
      const bool indexer = e >= head_dim;
      const int half = q < m ? 0 : 1;
      const int64_t rows_before = q < m ? m : 0;
      for (const char what : {'K', 'Z'}) {
        const auto& chunks = what == 'K' ? layout.k_chunks : layout.z_chunks;
        const int64_t chunk = chunks[static_cast<size_t>(q * layout.entry_chunks + e / layout.chunk)];
        const int64_t place = chunk * layout.chunk + e % layout.chunk + rows_before * layout.width;
        ASSERT_GE(place, 0);
        ASSERT_LT(place, layout.width) << "row " << q << " entry channel " << e << " lies in another row";
        EXPECT_EQ(row[static_cast<size_t>(place)], (Channel{what, indexer, half, indexer ? e - head_dim : e}))
            << "row " << q << " entry channel " << e;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, OverlappingLayout,
                         testing::Values(std::tuple{512, 128, 4}, std::tuple{32, 32, 4}, std::tuple{96, 64, 4}, std::tuple{12, 8, 2},
                                         std::tuple{8, 20, 3}, std::tuple{7, 5, 1}));

TEST(RawLayout, HasWholeRowsWithoutOverlap) {
  const LayerConfig layer = {.kind = LayerKind::kHca, .compress_ratio = 128, .hash_routed = false};
  const RawLayout layout = raw_layout(dims(512, 128), layer);
  EXPECT_EQ(layout.width, 1024);
  EXPECT_EQ(layout.chunk, 512);
  EXPECT_EQ(layout.row_chunks, 2);
  EXPECT_EQ(layout.entry_chunks, 1);
  EXPECT_EQ(layout.k_chunks, std::vector<int32_t>{0});
  EXPECT_EQ(layout.z_chunks, std::vector<int32_t>{1});
}

TEST(CompressorTail, IsWhatTheNextCallPools) {
  for (const int64_t m : {1, 2, 4, 5, 128}) {
    for (const bool overlap : {false, true}) {
      // The furthest row back that a call pools, whatever position it begins at.
      int64_t furthest = 0;
      for (int64_t start = 4 * m; start < 6 * m; ++start) {
        const int64_t first_of_block = start / m * m;
        furthest = std::max(furthest, start - (overlap ? first_of_block - m : first_of_block));
      }
      const LayerConfig layer = {.kind = overlap ? LayerKind::kCsa : LayerKind::kHca, .compress_ratio = m, .hash_routed = false};
      EXPECT_EQ(compressor_tail_rows(layer), furthest) << "m " << m << " overlap " << overlap;
    }
  }
}

}  // namespace
}  // namespace dsv4
