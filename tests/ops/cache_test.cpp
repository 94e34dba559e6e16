// The layout of a cache, and what an op makes of hostile headers.
#include "ops/attention/cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "dsv4/error.h"
#include "openvino/core/except.hpp"
#include "ops/attention/cache_view.h"

namespace dsv4::ops {

namespace {

CacheShape flash(int64_t capacity, CachePrecision type) {
  CacheShape shape;
  shape.layers = {{0, false}, {4, true}, {128, false}, {4, true}};
  shape.window = 128;
  shape.head_dim = 512;
  shape.index_head_dim = 128;
  shape.capacity = capacity;
  shape.type = type;
  return shape;
}

CacheShape small() {
  CacheShape shape;
  shape.layers = {{4, true}, {0, false}, {7, false}};
  shape.window = 5;
  shape.head_dim = 6;
  shape.index_head_dim = 3;
  shape.capacity = 50;
  shape.type = CachePrecision::kF32;
  return shape;
}

std::vector<std::byte> with_header(const CacheLayout& layout) {
  std::vector<std::byte> cache(static_cast<size_t>(layout.bytes()));
  layout.write_header(cache.data());
  return cache;
}

ExpectedLayer expected(const CacheShape& shape, int64_t layer) {
  return {layer, shape.layers[static_cast<size_t>(layer)], shape.window, shape.head_dim, shape.index_head_dim};
}

int64_t total(const std::vector<CacheLayout::Range>& ranges) {
  int64_t bytes = 0;
  for (const auto& range : ranges) bytes += range.end - range.begin;
  return bytes;
}

}  // namespace

TEST(CacheLayout, TakesTheBytesOfTheSpecification) {
  // Per token 320 * 2 bytes of a CSA layer in bf16 / 4 positions and 8 bytes of an HCA layer; tails of 64, 16 and 512 KB and windows of 128 KB, each with 8 rows
  // more. Each of the five lists, and what is before them, begins at a multiple of 64 KB.
  const int64_t tokens = 1 << 16;
  const int64_t grown =
      CacheLayout(flash(2 * tokens, CachePrecision::kBF16)).bytes() - CacheLayout(flash(tokens, CachePrecision::kBF16)).bytes();
  EXPECT_EQ(grown, tokens * (2 * 320 + 8));
  const int64_t fixed = 4 * (128 + 8) * 1024 + 2 * (8 + 8) * (8 + 2) * 1024 + (128 + 8) * 4 * 1024;
  const int64_t all = CacheLayout(flash(tokens, CachePrecision::kBF16)).bytes();
  EXPECT_GE(all, fixed + tokens * (2 * 320 + 8));
  EXPECT_LE(all, fixed + tokens * (2 * 320 + 8) + 6 * 65536);
}

TEST(CacheLayout, PartsDoNotOverlap) {
  const CacheShape shape = small();
  const CacheLayout layout(shape);
  std::vector<CacheLayout::Range> parts;
  for (int64_t i = 0; i < 3; ++i) {
    const SectionBytes size = section_bytes(shape.layers[static_cast<size_t>(i)], 5, 6, 3, 50, shape.type);
    const auto& place = layout.layer(i);
    parts.insert(parts.end(), {{place.window, place.window + size.window},
                               {place.entries, place.entries + size.entries},
                               {place.index_keys, place.index_keys + size.index_keys},
                               {place.tail, place.tail + size.tail},
                               {place.index_tail, place.index_tail + size.index_tail}});
  }
  std::erase_if(parts, [](const auto& part) { return part.begin == part.end; });
  EXPECT_EQ(parts.size(), 5u + 1u + 3u);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  EXPECT_GE(parts.front().begin, static_cast<int64_t>(sizeof(CacheHeader) + 3 * sizeof(CacheLayerRecord)));
  for (size_t i = 1; i < parts.size(); ++i) EXPECT_LE(parts[i - 1].end, parts[i].begin);
  EXPECT_LE(parts.back().end, layout.bytes());
}

TEST(CacheLayout, UsedRangesLieInsideAndGrowWithTheSequence) {
  const CacheLayout layout(small());
  EXPECT_TRUE(layout.used(0).empty());
  for (int64_t tokens = 1; tokens <= 50; ++tokens) {
    const auto ranges = layout.used(tokens);
    for (const int64_t back : {0, 1, 3, 8}) {
      // Rows of float32: those of the window, for a token that comes `back` earlier too; entries and keys of 4, entries of 7; raw rows from the block before its
      // own on (of 4), from its own on (of 7).
      const int64_t first = std::max<int64_t>(0, tokens - back);
      const int64_t ring = 3 * (tokens - std::max<int64_t>(0, first - 4)) * 6;
      const int64_t lists = tokens / 4 * (6 + 3) + tokens / 7 * 6;
      const int64_t tails = (tokens - std::max<int64_t>(0, first / 4 - 1) * 4) * 4 * (6 + 3) + (tokens - first / 7 * 7) * 2 * 6;
      EXPECT_EQ(total(layout.used(tokens, back)), 4 * (ring + lists + tails)) << tokens << ", back " << back;
    }
    for (const auto& range : ranges) {
      EXPECT_LT(range.begin, range.end);
      EXPECT_GE(range.begin, static_cast<int64_t>(sizeof(CacheHeader) + 3 * sizeof(CacheLayerRecord)));
      EXPECT_LE(range.end, layout.bytes());
    }
  }
}

TEST(CacheLayout, CountsWhatATokenReads) {
  const CacheLayout layout(flash(1 << 16, CachePrecision::kBF16));
  const int64_t row = 512 * 2, key = 128 * 2;
  EXPECT_EQ(layout.read_bytes(0, 512), 0);
  EXPECT_EQ(layout.read_bytes(10, 512), 4 * 10 * row + 2 * 2 * row);
  EXPECT_EQ(layout.read_bytes(1023, 512), 4 * 127 * row + 2 * 256 * row + 8 * row);
  EXPECT_EQ(layout.read_bytes(65535, 512), 4 * 127 * row + 2 * (512 * row + 16384 * key) + 512 * row);
}

TEST(CacheLayout, RefusesImpossibleShapes) {
  const auto refuse = [](const char* what, void (*change)(CacheShape&)) {
    CacheShape shape = small();
    change(shape);
    EXPECT_THROW(CacheLayout{shape}, Error) << what;
  };
  refuse("no layers", [](CacheShape& s) { s.layers.clear(); });
  refuse("window", [](CacheShape& s) { s.window = 0; });
  refuse("head_dim", [](CacheShape& s) { s.head_dim = -1; });
  refuse("index_head_dim", [](CacheShape& s) { s.index_head_dim = 0; });
  refuse("no capacity", [](CacheShape& s) { s.capacity = 0; });
  refuse("positions beyond i32", [](CacheShape& s) { s.capacity = int64_t{1} << 31; });
  refuse("ratio", [](CacheShape& s) { s.layers[0].ratio = 0; });
  refuse("negative ratio", [](CacheShape& s) { s.layers[1].ratio = -3; });
  refuse("type", [](CacheShape& s) { s.type = static_cast<CachePrecision>(7); });
  refuse("more than any memory", [](CacheShape& s) {
    s.layers.assign(4096, {1, true});
    s.head_dim = s.index_head_dim = 1 << 20;
    s.capacity = std::numeric_limits<int32_t>::max();
  });
}

TEST(CacheView, FindsTheLayersParts) {
  const CacheShape shape = small();
  const CacheLayout layout(shape);
  std::vector<std::byte> cache = with_header(layout);
  const CacheView view = open_cache(cache, expected(shape, 0));
  EXPECT_EQ(view.window.memory, cache.data() + layout.layer(0).window);
  EXPECT_EQ(view.entries, cache.data() + layout.layer(0).entries);
  EXPECT_EQ(view.index_keys, cache.data() + layout.layer(0).index_keys);
  EXPECT_EQ(view.tail.memory, cache.data() + layout.layer(0).tail);
  EXPECT_EQ(view.index_tail.memory, cache.data() + layout.layer(0).index_tail);
  EXPECT_EQ(view.capacity, 50);
}

TEST(CacheView, RefusesAnotherModelsCache) {
  const CacheShape shape = small();
  std::vector<std::byte> cache = with_header(CacheLayout(shape));
  const auto refuse = [&](const char* what, void (*change)(ExpectedLayer&)) {
    ExpectedLayer layer = expected(shape, 0);
    change(layer);
    EXPECT_THROW(open_cache(cache, layer), ov::Exception) << what;
  };
  refuse("layer of another kind", [](ExpectedLayer& e) { e.index = 1; });
  refuse("layer beyond", [](ExpectedLayer& e) { e.index = 3; });
  refuse("layer before", [](ExpectedLayer& e) { e.index = -1; });
  refuse("window", [](ExpectedLayer& e) { e.window = 6; });
  refuse("head_dim", [](ExpectedLayer& e) { e.head_dim = 5; });
  refuse("index_head_dim", [](ExpectedLayer& e) { e.index_head_dim = 4; });
  refuse("ratio", [](ExpectedLayer& e) { e.layer.ratio = 8; });
  refuse("overlap", [](ExpectedLayer& e) { e.layer.overlap = false; });
}

TEST(CacheView, RefusesMemoryWithoutAHeader) {
  const CacheShape shape = small();
  const CacheLayout layout(shape);
  std::vector<std::byte> cache = with_header(layout);
  for (size_t bytes = 0; bytes < cache.size(); bytes += 61) {
    EXPECT_THROW(open_cache({cache.data(), bytes}, expected(shape, 0)), ov::Exception) << bytes;
  }
  EXPECT_THROW(open_cache({cache.data() + 1, cache.size() - 1}, expected(shape, 0)), ov::Exception);
  std::vector<std::byte> zeros(cache.size());
  EXPECT_THROW(open_cache(zeros, expected(shape, 0)), ov::Exception);
}

TEST(CacheView, NeverPointsOutsideTheMemory) {
  // Numbers of a header are replaced by others; what is still accepted has all its parts inside.
  const CacheShape shape = small();
  const CacheLayout layout(shape);
  const std::vector<std::byte> good = with_header(layout);
  const size_t numbers = (sizeof(CacheHeader) + 3 * sizeof(CacheLayerRecord)) / 8;
  std::mt19937_64 random(4);
  const int64_t extremes[] = {0,
                              1,
                              -1,
                              64,
                              layout.bytes() - 64,
                              layout.bytes(),
                              layout.bytes() + 64,
                              std::numeric_limits<int64_t>::max(),
                              std::numeric_limits<int64_t>::max() & ~int64_t{63},
                              std::numeric_limits<int64_t>::min(),
                              (int64_t{1} << 31) - 1,
                              int64_t{1} << 31,
                              int64_t{1} << 62};
  int accepted = 0, refused = 0;
  const auto check = [&](std::vector<std::byte>& cache) {
    for (int64_t i = 0; i < 3; ++i) {
      const ExpectedLayer layer = expected(shape, i);
      try {
        const CacheView view = open_cache(cache, layer);
        ++accepted;
        const SectionBytes size = section_bytes(layer.layer, layer.window, layer.head_dim, layer.index_head_dim, view.capacity, view.type);
        const auto inside = [&](const void* part, int64_t bytes) {
          if (bytes == 0) return true;
          const auto offset = static_cast<const std::byte*>(part) - cache.data();
          return offset >= static_cast<int64_t>(sizeof(CacheHeader)) && offset + bytes <= static_cast<int64_t>(cache.size());
        };
        const auto ring_inside = [&](const Ring& ring) { return ring.rows == 0 || inside(ring.memory, ring.rows * ring.row_bytes); };
        EXPECT_TRUE(ring_inside(view.window) && inside(view.entries, size.entries) && inside(view.index_keys, size.index_keys) &&
                    ring_inside(view.tail) && ring_inside(view.index_tail));
      } catch (const ov::Exception&) {
        ++refused;
      }
    }
  };
  for (size_t number = 0; number < numbers; ++number) {
    for (const int64_t value : extremes) {
      std::vector<std::byte> cache = good;
      std::memcpy(cache.data() + 8 * number, &value, sizeof value);
      check(cache);
    }
    for (int i = 0; i < 20; ++i) {
      std::vector<std::byte> cache = good;
      const auto value = static_cast<int64_t>(random() >> (random() % 64));
      std::memcpy(cache.data() + 8 * number, &value, sizeof value);
      check(cache);
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 100);
}

}  // namespace dsv4::ops
