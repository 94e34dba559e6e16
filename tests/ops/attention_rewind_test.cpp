// A sequence that goes back by up to 8 tokens and on with others, again and again, and is copied in between: each token gets the bits that it gets in one call.
#include <gtest/gtest.h>

#include <algorithm>

#include "attention_case.h"

namespace dsv4::ops::testing {

namespace {

AttentionCase a_case(const std::string& name, int64_t window, int64_t ratio, bool overlap, int64_t tokens) {
  AttentionCase c;
  c.name = name;
  c.attributes = {.layer = 1, .heads = 2, .head_dim = 12, .rope_dim = 4, .groups = 1, .window = window, .ratio = ratio, .overlap = overlap};
  if (overlap) {
    c.attributes.index_heads = 2;
    c.attributes.index_head_dim = 8;
    c.attributes.index_topk = 6;
  }
  c.tokens = tokens;
  return c;
}

std::vector<AttentionCase> cases() {
  return {a_case("window", 16, 0, false, 150), a_case("a window of few rows", 3, 2, false, 90),
          a_case("overlapping blocks of 4", 16, 4, true, 150), a_case("blocks of 128", 128, 128, false, 420)};
}

ov::Tensor copy_of(const CacheLayout& layout, const ov::Tensor& cache, int64_t tokens, int64_t back) {
  ov::Tensor copy = new_cache(layout);
  for (const auto& range : layout.used(tokens, back)) {
    std::memcpy(static_cast<std::byte*>(copy.data()) + range.begin, static_cast<const std::byte*>(cache.data()) + range.begin,
                static_cast<size_t>(range.end - range.begin));
  }
  return copy;
}

}  // namespace

TEST(AttentionRewind, GivesTheBitsOfTheTokensThatRemain) {
  for (AttentionCase c : cases()) {
    for (const CachePrecision type : {CachePrecision::kF32, CachePrecision::kBF16}) {
      c.type = type;
      SCOPED_TRACE(c.name);
      Runner runner(c, random_weights(c));
      const CacheLayout layout = layout_of(c, c.tokens);
      const auto width = static_cast<size_t>(c.hidden);
      std::mt19937 random(5);
      const auto below = [&](int64_t limit) { return static_cast<int64_t>(random() % static_cast<uint32_t>(limit)); };
      std::vector<float> x, out;  // of the tokens that remain
      ov::Tensor cache = new_cache(layout);
      int64_t position = 0, furthest = 0;
      for (uint32_t step = 0; position < c.tokens; ++step) {
        const int64_t n = std::min(1 + below(8), c.tokens - position);
        const std::vector<float> fresh = random_values(n * c.hidden, 0.0f, 1.0f, 1000 + step);
        x.insert(x.end(), fresh.begin(), fresh.end());
        const std::vector<float> part = runner.run(cache, fresh.data(), n, position);
        out.insert(out.end(), part.begin(), part.end());
        position += n;
        furthest = std::max(furthest, position);
        const int64_t most = std::clamp<int64_t>(kSlackRows - (furthest - position), 0, position);
        if (below(3) == 0) {
          cache = copy_of(layout, cache, position, most);
          furthest = position + kSlackRows - most;
        }
        if (position < c.tokens && below(2) == 0) position -= std::min(below(kSlackRows + 1), most);
        x.resize(static_cast<size_t>(position) * width);
        out.resize(x.size());
      }
      EXPECT_TRUE(same_bits(out, runner.run_all(new_cache(layout), x, {c.tokens})));
    }
  }
}

}  // namespace dsv4::ops::testing
