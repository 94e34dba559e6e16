// Attention over gathered rows: a token's rows in parts, a part a tile of rows at a time with a running softmax. Compiled for every instruction set.
#include "ops/attention/sparse_core.h"

#include <cmath>

#include "ops/attention/rows.h"
#include "ops/support/parallel.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/sparse_core.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/contrib/math/math-inl.h>

#include "ops/attention/vectors-inl.h"

#ifndef DSV4_OPS_ATTENTION_SPARSE_CORE_ONCE
#define DSV4_OPS_ATTENTION_SPARSE_CORE_ONCE
namespace dsv4::ops {
namespace {

constexpr int64_t kRowsATile = 48;

/// Some heads of one token.
struct Heads {
  int64_t token = 0;
  int64_t first = 0;  // a multiple of kRowLanes
  int64_t count = 0;
};

/// What some rows give for all heads of a token, or what several such parts give together.
struct Sums {
  float* out = nullptr;  // [H, padded(hd)]: sum of exp(s - max) times the rows
  float* max = nullptr;  // [padded(H)] of the scores s
  float* sum = nullptr;  // [padded(H)] of exp(s - max)
};

/// The parts of a token's rows. They follow from its own number of rows alone, so that its results do not depend on what else is computed, nor on how.
struct Parts {
  int64_t rows, size, count;

  explicit Parts(int64_t rows_of_token) : rows(rows_of_token) {
    constexpr int64_t kRows = 96, kMost = 16;
    size = std::max((rows + kMost - 1) / kMost, kRows);
    count = (rows + size - 1) / size;
  }
  int64_t begin(int64_t part) const { return part * size; }
  int64_t end(int64_t part) const { return std::min(rows, (part + 1) * size); }
};

/// Of one worker: rows as float32 [kRowsATile, padded(hd)], their scores [kRowsATile, padded(H)], factors [padded(H)].
struct Tile {
  float* rows;
  float* scores;
  float* factors;
};

}  // namespace
}  // namespace dsv4::ops
#endif  // DSV4_OPS_ATTENTION_SPARSE_CORE_ONCE

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

/// Scores [n, width] become exp(s - max) with the new max; factors are what sums so far have to be multiplied with. Lanes are heads.
HWY_INLINE void running_softmax(float* scores, int64_t n, int64_t width, int64_t stride, float* max, float* sum, float* factors) {
  const RowTag d;
  for (int64_t h = 0; h < width; h += lanes()) {
    const auto before = hn::LoadU(d, max + h);
    auto largest = before;
    for (int64_t r = 0; r < n; ++r) largest = hn::Max(largest, hn::LoadU(d, scores + r * stride + h));
    const auto factor = hn::Exp(d, hn::Sub(before, largest));
    auto total = hn::Mul(factor, hn::LoadU(d, sum + h));
    for (int64_t r = 0; r < n; ++r) {
      const auto weight = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + r * stride + h), largest));
      hn::StoreU(weight, d, scores + r * stride + h);
      total = hn::Add(total, weight);
    }
    hn::StoreU(largest, d, max + h);
    hn::StoreU(total, d, sum + h);
    hn::StoreU(factor, d, factors + h);
  }
}

/// Rows [begin, end) of those that the token sees; q [hd, padded(H)], transposed.
void AttendPart(const SparseCore& core, const Heads& heads, int64_t begin, int64_t end, const float* q, const Sums& sums,
                const Tile& tile) {
  const RowTag d;
  const int64_t dims = core.a.head_dim, row_width = padded(dims), stride = padded(core.a.heads), width = padded(heads.count);
  float *max = sums.max + heads.first, *sum = sums.sum + heads.first, *out = sums.out + heads.first * row_width;
  std::fill_n(max, width, -1e30f);
  std::fill_n(sum, width, 0.0f);
  for (int64_t first = begin; first < end; first += kRowsATile) {
    const int64_t n = std::min(kRowsATile, end - first);
    for (int64_t i = 0; i < n; ++i) load_row(core.row(heads.token, first + i), core.type(), dims, tile.rows + i * row_width);
    // [n,hd] x [hd,heads] -> [n,heads]
    multiply_row_tile(tile.rows, row_width, 1, n, q + heads.first, stride, width, dims, tile.scores, stride, false);
    running_softmax(tile.scores, n, width, stride, max, sum, tile.factors);
    if (first != begin) {
      for (int64_t h = 0; h < heads.count; ++h) {
        if (tile.factors[h] == 1.0f) continue;
        const auto factor = hn::Set(d, tile.factors[h]);
        float* row = out + h * row_width;
        for (int64_t i = 0; i < row_width; i += lanes()) hn::StoreU(hn::Mul(factor, hn::LoadU(d, row + i)), d, row + i);
      }
    }
    // [heads,n] x [n,hd] -> [heads,hd]
    multiply_row_tile(tile.scores, 1, stride, heads.count, tile.rows, row_width, row_width, n, out, row_width, first != begin);
  }
}

/// `part` added to `sums`.
void JoinPart(const SparseCore& core, const Heads& heads, const Sums& part, const Sums& sums) {
  const RowTag d;
  const int64_t row_width = padded(core.a.head_dim);
  for (int64_t first = heads.first; first < heads.first + heads.count; first += lanes()) {
    const auto before = hn::LoadU(d, sums.max + first), other = hn::LoadU(d, part.max + first), largest = hn::Max(before, other);
    const auto factor = hn::Exp(d, hn::Sub(before, largest)), other_factor = hn::Exp(d, hn::Sub(other, largest));
    hn::StoreU(largest, d, sums.max + first);
    hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, sums.sum + first), hn::Mul(other_factor, hn::LoadU(d, part.sum + first))), d,
               sums.sum + first);
    alignas(64) float factors[kRowLanes], other_factors[kRowLanes];
    hn::StoreU(factor, d, factors);
    hn::StoreU(other_factor, d, other_factors);
    for (int64_t h = first; h < std::min(first + lanes(), heads.first + heads.count); ++h) {
      const auto f = hn::Set(d, factors[h - first]), g = hn::Set(d, other_factors[h - first]);
      float* out = sums.out + h * row_width;
      const float* more = part.out + h * row_width;
      for (int64_t i = 0; i < row_width; i += lanes()) {
        hn::StoreU(hn::MulAdd(f, hn::LoadU(d, out + i), hn::Mul(g, hn::LoadU(d, more + i))), d, out + i);
      }
    }
  }
}

/// The sink added to the denominators, what the heads give to core.heads_out, rotated back.
void FinishHeads(const SparseCore& core, const Heads& heads, const Sums& sums) {
  const RowTag d;
  const int64_t dims = core.a.head_dim, row_width = padded(dims), end = heads.first + heads.count;
  for (int64_t first = heads.first; first < end; first += lanes()) {
    const auto sink = load_part(core.sinks + first, end - first), before = hn::LoadU(d, sums.max + first), largest = hn::Max(before, sink);
    const auto factor = hn::Exp(d, hn::Sub(before, largest));
    const auto denominator = hn::MulAdd(factor, hn::LoadU(d, sums.sum + first), hn::Exp(d, hn::Sub(sink, largest)));
    alignas(64) float factors[kRowLanes];
    hn::StoreU(hn::Div(factor, denominator), d, factors);
    for (int64_t h = first; h < std::min(first + lanes(), end); ++h) {
      const auto f = hn::Set(d, factors[h - first]);
      const float* from = sums.out + h * row_width;
      float* out = core.heads_out + (heads.token * core.a.heads + h) * dims;
      int64_t i = 0;
      for (; i + lanes() <= dims; i += lanes()) hn::StoreU(hn::Mul(f, hn::LoadU(d, from + i)), d, out + i);
      for (; i < dims; ++i) out[i] = factors[h - first] * from[i];
      rotate<true>(core.rope, heads.token, out, dims);
    }
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(AttendPart);
HWY_EXPORT(JoinPart);
HWY_EXPORT(FinishHeads);

namespace {

/// Some heads of one token's queries: RMS a head without weight, RoPE, the softmax scale; q [hd, padded(H)] transposed.
void prepare_queries(const SparseCore& core, const Heads& some, float* q) {
  const int64_t dims = core.a.head_dim;
  const float softmax_scale = 1.0f / std::sqrt(static_cast<float>(dims));
  float* heads = core.heads_out + (some.token * core.a.heads + some.first) * dims;
  for (int64_t h = 0; h < some.count; ++h) {
    float* head = heads + h * dims;
    const float factor = inverse_rms(head, dims, static_cast<float>(core.a.norm_eps)) * softmax_scale;
    for (int64_t i = 0; i < dims; ++i) head[i] *= factor;
    rotate(core.rope, some.token, head, dims);
  }
  transpose_rows(heads, some.count, dims, q + some.first, padded(core.a.heads));
}

struct Sizes {
  int64_t q, out, heads, tile;  // floats of a token's queries, of its outputs, of a number a head, of a worker's tile

  int64_t sums() const { return out + 2 * heads; }
};

Sizes sizes_of(const SparseCore& core) {
  const int64_t heads = padded(core.a.heads), dims = padded(core.a.head_dim);
  return {core.a.head_dim * heads, core.a.heads * dims, heads, kRowsATile * (dims + heads) + heads};
}

Tile tile_at(const SparseCore& core, float* memory) {
  float* scores = memory + kRowsATile * padded(core.a.head_dim);
  return {memory, scores, scores + kRowsATile * padded(core.a.heads)};
}

Sums sums_at(const Sizes& size, float* memory) { return {memory, memory + size.out, memory + size.out + size.heads}; }

/// Many tokens: each is one piece of work.
void attend_tokens(const SparseCore& core, int64_t grain, Scratch& scratch) {
  const Sizes size = sizes_of(core);
  const int64_t floats = size.q + 2 * size.sums() + size.tile;
  float* memory = scratch.take<float>(std::min(max_workers(), (core.tokens + grain - 1) / grain) * floats);
  parallel_pieces(core.tokens, grain, [&](int64_t begin, int64_t end, int64_t worker) {
    float* q = memory + worker * floats;
    const Sums all = sums_at(size, q + size.q), one = sums_at(size, q + size.q + size.sums());
    const Tile tile = tile_at(core, q + size.q + 2 * size.sums());
    for (int64_t t = begin; t < end; ++t) {
      const Heads heads{t, 0, core.a.heads};
      prepare_queries(core, heads, q);
      const Parts parts(core.rows(t));
      for (int64_t p = 0; p < parts.count; ++p) {
        HWY_DYNAMIC_DISPATCH(AttendPart)(core, heads, parts.begin(p), parts.end(p), q, p == 0 ? all : one, tile);
        if (p > 0) HWY_DYNAMIC_DISPATCH(JoinPart)(core, heads, one, all);
      }
      HWY_DYNAMIC_DISPATCH(FinishHeads)(core, heads, all);
    }
  });
}

/// Few tokens: their parts and heads are divided.
void attend_parts(const SparseCore& core, Scratch& scratch) {
  constexpr int64_t kHeads = 2 * kRowLanes;
  const Sizes size = sizes_of(core);
  const int64_t most = Parts(core.most_rows()).count;
  const int64_t blocks = (core.a.heads + kHeads - 1) / kHeads;
  const auto heads_of = [&](int64_t t, int64_t block) { return Heads{t, block * kHeads, std::min(kHeads, core.a.heads - block * kHeads)}; };
  float* q = scratch.take<float>(core.tokens * size.q);
  float* sums = scratch.take<float>(core.tokens * most * size.sums());
  float* tiles = scratch.take<float>(max_workers() * size.tile);
  constexpr int64_t kPreparationCost = 16;  // of a value, in multiplications
  parallel_pieces(core.tokens * blocks, kWorthAThread / (kPreparationCost * kHeads * core.a.head_dim) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item)
      prepare_queries(core, heads_of(item / blocks, item % blocks), q + item / blocks * size.q);
  });
  parallel_pieces(core.tokens * most * blocks, 1, [&](int64_t begin, int64_t end, int64_t worker) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / (most * blocks), p = item / blocks % most;
      const Parts parts(core.rows(t));
      if (p >= parts.count) continue;
      HWY_DYNAMIC_DISPATCH(AttendPart)
      (core, heads_of(t, item % blocks), parts.begin(p), parts.end(p), q + t * size.q, sums_at(size, sums + (t * most + p) * size.sums()),
       tile_at(core, tiles + worker * size.tile));
    }
  });
  parallel_pieces(core.tokens * blocks, kWorthAThread / (4 * most * kHeads * core.a.head_dim) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / blocks;
      const Heads heads = heads_of(t, item % blocks);
      const auto of_part = [&](int64_t p) { return sums_at(size, sums + (t * most + p) * size.sums()); };
      for (int64_t p = 1; p < Parts(core.rows(t)).count; ++p) HWY_DYNAMIC_DISPATCH(JoinPart)(core, heads, of_part(p), of_part(0));
      HWY_DYNAMIC_DISPATCH(FinishHeads)(core, heads, of_part(0));
    }
  });
}

}  // namespace

void attend(const SparseCore& core, Scratch& scratch) {
  constexpr int64_t kManyTokens = 16;
  const int64_t work = 2 * core.a.heads * core.a.head_dim * core.most_rows();  // of the token that sees the most
  if (core.tokens >= kManyTokens || core.tokens * work < 2 * kWorthAThread) {
    attend_tokens(core, std::clamp<int64_t>(kWorthAThread / work, 1, core.tokens), scratch);
  } else {
    attend_parts(core, scratch);
  }
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
