// Caches that share pages, in random walks of writes, forks, kept states and ways back, beside plain copies of the whole memory.
#include "ops/attention/cache_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

namespace dsv4::ops {
namespace {

CacheShape shape_of(int64_t capacity) {
  CacheShape shape;
  shape.layers = {{4, true}, {0, false}, {7, false}, {4, true}};
  shape.window = 5;
  shape.head_dim = 96;
  shape.index_head_dim = 33;
  shape.capacity = capacity;
  shape.type = CachePrecision::kBF16;
  return shape;
}

/// A sequence in a shared cache and in a vector of its own, written alike.
struct Sequence {
  CacheMemory memory{shape_of(4000)};
  std::vector<std::byte> plain = std::vector<std::byte>(static_cast<size_t>(memory.layout().bytes()));
  int64_t position = 0;
  int64_t furthest = 0;

  Sequence() { memory.layout().write_header(plain.data()); }

  int64_t back() const { return std::clamp<int64_t>(kSlackRows - (furthest - position), 0, position); }

  void fill(int64_t begin, int64_t bytes, uint8_t value) {
    std::memset(memory.data() + begin, value, static_cast<size_t>(bytes));
    std::memset(plain.data() + begin, value, static_cast<size_t>(bytes));
  }

  /// Rows in the rings' places of a ring of 13 (window), 16 and 15 (tails) rows, and entries where a block ends.
  void feed(int64_t tokens, std::mt19937& random) {
    memory.will_write(position);
    const CacheLayout& layout = memory.layout();
    for (; tokens > 0; --tokens, ++position) {
      for (int64_t i = 0; i < 4; ++i) {
        const CacheLayer& layer = layout.shape().layers[static_cast<size_t>(i)];
        fill(layout.layer(i).window + position % 13 * 192, 192, static_cast<uint8_t>(random()));
        if (layer.ratio == 0) continue;
        const int64_t row = layer.overlap ? 4 * 96 * 4 : 2 * 96 * 4, rows = layer.overlap ? 16 : 15;
        fill(layout.layer(i).tail + position % rows * row, row, static_cast<uint8_t>(random()));
        if (layer.overlap) fill(layout.layer(i).index_tail + position % 16 * 4 * 33 * 4, 4 * 33 * 4, static_cast<uint8_t>(random()));
        if ((position + 1) % layer.ratio != 0) continue;
        fill(layout.layer(i).entries + position / layer.ratio * 192, 192, static_cast<uint8_t>(random()));
        if (layer.overlap) fill(layout.layer(i).index_keys + position / layer.ratio * 66, 66, static_cast<uint8_t>(random()));
      }
    }
    furthest = std::max(furthest, position);
  }

  bool right() const {
    if (std::memcmp(memory.data(), plain.data(), static_cast<size_t>(memory.layout().layer(0).window)) != 0) return false;  // the header
    for (const auto& range : memory.layout().used(position, back())) {
      const auto bytes = static_cast<size_t>(range.end - range.begin);
      if (std::memcmp(memory.data() + range.begin, plain.data() + range.begin, bytes) != 0) return false;
    }
    return true;
  }
};

struct Kept {
  std::shared_ptr<const FrozenCache> frozen;
  std::vector<std::byte> plain;
  int64_t position = 0, furthest = 0;
};

Kept keep(Sequence& s) { return {s.memory.freeze(s.position, s.back()), s.plain, s.position, s.position + kSlackRows - s.back()}; }

void go_on_from(Sequence& s, const Kept& kept) {
  s.memory.go_on_from(kept.frozen);
  s.plain = kept.plain;
  s.position = kept.position;
  s.furthest = kept.furthest;
}

/// Bytes of a range of addresses that are in memory for it alone.
int64_t own_bytes(const CacheMemory& memory) {
  const auto first = reinterpret_cast<uintptr_t>(memory.data()), last = first + static_cast<uintptr_t>(memory.layout().bytes());
  std::ifstream file("/proc/self/smaps");
  int64_t bytes = 0;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    uintptr_t begin = 0, end = 0;
    int64_t kilobytes = 0;
    char dash = 0;
    std::istringstream words(line);
    if (words >> std::hex >> begin >> dash >> end && dash == '-') {
      inside = begin >= first && end <= last;
    } else if (inside && std::sscanf(line.c_str(), "Anonymous: %ld kB", &kilobytes) == 1) {
      bytes += kilobytes * 1024;
    }
  }
  return bytes;
}

}  // namespace

TEST(CacheMemory, HoldsWhatPlainCopiesHold) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](size_t limit) { return static_cast<int64_t>(random() % limit); };
    std::vector<std::unique_ptr<Sequence>> sequences;
    sequences.push_back(std::make_unique<Sequence>());
    std::vector<Kept> kept;
    for (int step = 0; step < 300; ++step) {
      Sequence& s = *sequences[static_cast<size_t>(below(sequences.size()))];
      switch (below(8)) {
        case 0:
          kept.push_back(keep(s));
          break;
        case 1:
          if (!kept.empty()) go_on_from(s, kept[static_cast<size_t>(below(kept.size()))]);
          break;
        case 2:
          if (sequences.size() == 6) sequences.erase(sequences.begin() + below(5));
          sequences.push_back(std::make_unique<Sequence>());
          go_on_from(*sequences.back(), keep(*sequences[static_cast<size_t>(below(sequences.size() - 1))]));
          break;
        case 3:
          s.position -= std::min(below(9), s.back());
          break;
        case 4:
          if (kept.size() > 8) kept.erase(kept.begin() + below(kept.size()));
          break;
        case 5:
          if (s.position < 3000) s.feed(1 + below(300), random);
          break;
        default:
          if (s.position < 3900) s.feed(1 + below(8), random);
      }
      for (const auto& sequence : sequences) ASSERT_TRUE(sequence->right()) << "seed " << seed << ", step " << step;
    }
  }
}

TEST(CacheMemory, OfAForkTakesWhatItWrites) {
  std::mt19937 random(1);
  Sequence s;
  s.feed(3500, random);
  const int64_t all = own_bytes(s.memory);
  const Kept kept = keep(s);
  std::vector<std::unique_ptr<Sequence>> forks;
  for (int i = 0; i < 4; ++i) {
    forks.push_back(std::make_unique<Sequence>());
    go_on_from(*forks.back(), kept);
    EXPECT_TRUE(forks.back()->right());
    EXPECT_EQ(own_bytes(forks.back()->memory), 0);
    forks.back()->feed(1, random);
    EXPECT_LT(own_bytes(forks.back()->memory), all / 8);
  }
  EXPECT_LT(own_bytes(s.memory), all / 3);  // its lists are the image's now
  for (const auto& fork : forks) EXPECT_TRUE(fork->right());
}

TEST(CacheMemory, IsNotCopiedAgainWhereNothingWasWritten) {
  std::mt19937 random(2);
  Sequence s, other;
  s.feed(100, random);
  const auto frozen = s.memory.freeze(100, 8);
  EXPECT_EQ(s.memory.freeze(100, 8), frozen);
  other.memory.go_on_from(frozen);
  EXPECT_EQ(other.memory.freeze(100, 8), frozen);
  s.feed(1, random);
  EXPECT_NE(s.memory.freeze(101, 8), frozen);
}

}  // namespace dsv4::ops
