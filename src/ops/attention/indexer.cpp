// Scores of index keys in tiles, and the selection of the largest. Compiled for every instruction set.
#include "ops/attention/indexer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "ops/attention/cache_rounding.h"
#include "ops/attention/cache_view.h"
#include "ops/attention/rows.h"
#include "ops/support/parallel.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/indexer.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/attention/vectors-inl.h"

#ifndef DSV4_OPS_ATTENTION_INDEXER_ONCE
#define DSV4_OPS_ATTENTION_INDEXER_ONCE
namespace dsv4::ops {
namespace {

constexpr int64_t kTileKeys = 48;

/// Of one worker: a tile of keys [kTileKeys, dims] and its products with the heads [kTileKeys, heads].
struct KeyTile {
  float* keys;
  float* products;
};

}  // namespace
}  // namespace dsv4::ops
#endif  // DSV4_OPS_ATTENTION_INDEXER_ONCE

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

/// scores[i] = sum_h w_h ReLU(q_h . k_i) for entries [begin, end). q [dims, width], transposed, and w [width] with zeros in the lanes beyond the heads.
void ScoreKeys(const Indexer& x, const CacheView& cache, const float* q, const float* w, int64_t begin, int64_t end, const KeyTile& tile,
               float* scores) {
  const RowTag d;
  const int64_t width = padded(x.a.index_heads), key_width = padded(x.a.index_head_dim),
                key_bytes = x.a.index_head_dim * value_bytes(cache.type);
  for (int64_t first = begin; first < end; first += kTileKeys) {
    const int64_t n = std::min(kTileKeys, end - first);
    for (int64_t i = 0; i < n; ++i)
      load_row(cache.index_keys + (first + i) * key_bytes, cache.type, x.a.index_head_dim, tile.keys + i * key_width);
    multiply_row_tile(tile.keys, key_width, 1, n, q, width, width, x.a.index_head_dim, tile.products, width, false);
    for (int64_t i = 0; i < n; ++i) {
      auto sum = hn::Zero(d);
      for (int64_t h = 0; h < width; h += lanes()) {
        sum = hn::MulAdd(hn::LoadU(d, w + h), hn::Max(hn::LoadU(d, tile.products + i * width + h), hn::Zero(d)), sum);
      }
      scores[first + i] = hn::GetLane(hn::SumOfLanes(d, sum));
    }
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(ScoreKeys);

namespace {

constexpr int64_t kChunk = 1008;               // keys of one piece of work, whole tiles
constexpr int64_t kScores = int64_t{1} << 22;  // held at once: long contexts take their tokens in smaller blocks

/// Unsigned numbers in the order of the floats.
uint32_t ordered(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 becomes 0
  return bits ^ ((bits & 0x80000000u) != 0 ? 0xFFFFFFFFu : 0x80000000u);
}

}  // namespace

void select_largest(const float* scores, int64_t n, int64_t k, int32_t* places) {
  // The k-th largest by its digits, the highest first: no sort, and the same time whatever the values.
  uint32_t value = 0, known = 0;  // of the k-th largest, and which of its bits are known
  int64_t rank = k;               // among the scores that have the known bits
  for (int shift = 24; shift >= 0; shift -= 8) {
    std::array<int32_t, 256> counts{};
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t key = ordered(scores[i]);
      if ((key & known) == value) ++counts[(key >> shift) & 0xFFu];
    }
    uint32_t digit = 255;
    while (digit > 0 && rank > counts[digit]) rank -= counts[digit--];
    value |= digit << shift;
    known |= 0xFFu << shift;
  }
  int64_t count = 0;
  for (int64_t i = 0; i < n && count < k; ++i) {
    const uint32_t key = ordered(scores[i]);
    const bool tie = key == value && rank > 0;
    if (tie) --rank;
    if (key > value || tie) places[count++] = static_cast<int32_t>(i);
  }
}

void select_entries(const Indexer& x, int32_t* selected, Scratch& scratch) {
  int64_t most = 1;
  for (int64_t t = 0; t < x.tokens; ++t) most = std::max(most, x.visible(t));
  const int64_t width = padded(x.a.index_heads);
  const int64_t block = std::clamp<int64_t>(kScores / most, 1, x.tokens);
  const int64_t q_floats = x.a.index_head_dim * width, tile_floats = kTileKeys * (padded(x.a.index_head_dim) + width);
  float* q = scratch.take<float>(block * q_floats);  // [block, dims, width], transposed
  float* w = scratch.take<float>(block * width);
  float* scores = scratch.take<float>(block * most);
  float* tiles = scratch.take<float>(max_workers() * tile_floats);
  const float scale = 1.0f / std::sqrt(static_cast<float>(x.a.index_head_dim) * static_cast<float>(x.a.index_heads));

  for (int64_t start = 0; start < x.tokens; start += block) {
    const int64_t n = std::min(block, x.tokens - start);
    parallel_pieces(n, kWorthAThread / (4 * q_floats) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        if (!x.selects(start + t)) continue;
        float* heads = x.q + (start + t) * x.a.index_heads * x.a.index_head_dim;
        for (int64_t h = 0; h < x.a.index_heads; ++h) {
          rotate(x.rope, start + t, heads + h * x.a.index_head_dim, x.a.index_head_dim);
          if (!x.a.quantize_cache) continue;
          hadamard(heads + h * x.a.index_head_dim, x.a.index_head_dim);
          round_through_fp4(heads + h * x.a.index_head_dim, x.a.index_head_dim);
        }
        transpose_rows(heads, x.a.index_heads, x.a.index_head_dim, q + t * q_floats, width);
        for (int64_t h = 0; h < width; ++h)
          w[t * width + h] = h < x.a.index_heads ? x.weights[(start + t) * x.a.index_heads + h] * scale : 0.0f;
      }
    });

    const int64_t chunks = (most + kChunk - 1) / kChunk;
    parallel_pieces(n * chunks, kWorthAThread / (std::min(kChunk, most) * q_floats) + 1, [&](int64_t begin, int64_t end, int64_t worker) {
      float* memory = tiles + worker * tile_floats;
      const KeyTile tile{memory, memory + kTileKeys * padded(x.a.index_head_dim)};
      for (int64_t item = begin; item < end; ++item) {
        const int64_t t = item / chunks, from = item % chunks * kChunk, to = std::min(from + kChunk, x.visible(start + t));
        if (!x.selects(start + t) || from >= to) continue;
        HWY_DYNAMIC_DISPATCH(ScoreKeys)
        (x, x.places[start + t].run->cache, q + t * q_floats, w + t * width, from, to, tile, scores + t * most);
      }
    });

    constexpr int64_t kSelectionCost = 16;  // in multiplications a score
    parallel_pieces(n, kWorthAThread / (kSelectionCost * most) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        if (!x.selects(start + t)) continue;
        select_largest(scores + t * most, x.visible(start + t), x.a.index_topk, selected + (start + t) * x.a.index_topk);
      }
    });
  }
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
