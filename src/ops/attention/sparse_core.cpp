// Attention over gathered rows, a tile of rows at a time with a running softmax. Compiled for every instruction set.
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

constexpr int64_t kTileRows = 48;

/// Some heads of one token over some of its rows.
struct Part {
  int64_t token = 0;
  int64_t begin = 0, end = 0;  // rows
  int64_t first_head = 0;      // a multiple of kLanes
  int64_t heads = 0;
  // Of all heads of the token:
  const float* q = nullptr;  // [hd, padded(H)], transposed
  float* out = nullptr;      // [H, padded(hd)]: sum of exp(s - max) times the rows
  float* max = nullptr;      // [padded(H)] of the scores s
  float* sum = nullptr;      // [padded(H)] of exp(s - max)
};

/// Of one worker: rows as float32 [kTileRows, padded(hd)], their scores [kTileRows, padded(H)], factors [padded(H)].
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
  const Floats d;
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

void AttendPart(const SparseCore& core, const Part& part, const Tile& tile) {
  const Floats d;
  const int64_t dims = core.head_dim, row_width = padded(dims), stride = padded(core.heads), width = padded(part.heads);
  float *max = part.max + part.first_head, *sum = part.sum + part.first_head, *out = part.out + part.first_head * row_width;
  std::fill_n(max, width, -1e30f);
  std::fill_n(sum, width, 0.0f);
  for (int64_t first = part.begin; first < part.end; first += kTileRows) {
    const int64_t n = std::min(kTileRows, part.end - first);
    for (int64_t i = 0; i < n; ++i) load_row(core.row(part.token, first + i), core.type, dims, tile.rows + i * row_width);
    // [n,hd] x [hd,heads] -> [n,heads]
    multiply_tile(tile.rows, row_width, 1, n, part.q + part.first_head, stride, width, dims, tile.scores, stride, false);
    running_softmax(tile.scores, n, width, stride, max, sum, tile.factors);
    if (first != part.begin) {
      for (int64_t h = 0; h < part.heads; ++h) {
        if (tile.factors[h] == 1.0f) continue;
        const auto factor = hn::Set(d, tile.factors[h]);
        float* row = out + h * row_width;
        for (int64_t i = 0; i < row_width; i += lanes()) hn::StoreU(hn::Mul(factor, hn::LoadU(d, row + i)), d, row + i);
      }
    }
    // [heads,n] x [n,hd] -> [heads,hd]
    multiply_tile(tile.scores, 1, stride, part.heads, tile.rows, row_width, row_width, n, out, row_width, first != part.begin);
  }
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(AttendPart);

namespace {

/// Heads [begin, end) of one token's queries: RMS a head without weight, RoPE, the softmax scale; q [hd, padded(H)] transposed. `begin` is a multiple of
/// kLanes.
void prepare_queries(const SparseCore& core, int64_t token, int64_t begin, int64_t end, float* q) {
  const int64_t dims = core.head_dim;
  const float softmax_scale = 1.0f / std::sqrt(static_cast<float>(dims));
  float* heads = core.heads_out + (token * core.heads + begin) * dims;
  for (int64_t h = 0; h < end - begin; ++h) {
    float* head = heads + h * dims;
    const float factor = inverse_rms(head, dims, core.norm_eps) * softmax_scale;
    for (int64_t i = 0; i < dims; ++i) head[i] *= factor;
    rotate(core.rope, token, head, dims);
  }
  transpose(heads, end - begin, dims, q + begin, padded(core.heads));
}

/// What parts of a token's rows give, as Part has it, `parts` of them one after another.
struct Partial {
  int64_t parts;
  const float *out, *max, *sum;
};

/// Heads [begin, end) of a token: parts joined, the sink added to the denominator, rotated back.
void finish_heads(const SparseCore& core, int64_t token, const Partial& partial, int64_t begin, int64_t end) {
  const int64_t dims = core.head_dim, stride = padded(core.heads), row_width = padded(dims);
  for (int64_t h = begin; h < end; ++h) {
    float max = core.sinks[h];
    for (int64_t p = 0; p < partial.parts; ++p) max = std::max(max, partial.max[p * stride + h]);
    float sum = std::exp(core.sinks[h] - max);
    for (int64_t p = 0; p < partial.parts; ++p) sum += partial.sum[p * stride + h] * std::exp(partial.max[p * stride + h] - max);
    float* out = core.heads_out + (token * core.heads + h) * dims;
    for (int64_t p = 0; p < partial.parts; ++p) {
      const float* part = partial.out + (p * core.heads + h) * row_width;
      const float factor = std::exp(partial.max[p * stride + h] - max) / sum;
      if (p == 0) {
        for (int64_t i = 0; i < dims; ++i) out[i] = factor * part[i];
      } else {
        for (int64_t i = 0; i < dims; ++i) out[i] += factor * part[i];
      }
    }
    rotate<true>(core.rope, token, out, dims);
  }
}

struct Sizes {
  int64_t q, out, heads, tile;  // floats of a token's queries, of its outputs, of a number a head, of a worker's tile
};

Sizes sizes_of(const SparseCore& core) {
  const int64_t heads = padded(core.heads), dims = padded(core.head_dim);
  return {core.head_dim * heads, core.heads * dims, heads, kTileRows * (dims + heads) + heads};
}

Tile tile_at(const SparseCore& core, float* memory) {
  float* scores = memory + kTileRows * padded(core.head_dim);
  return {memory, scores, scores + kTileRows * padded(core.heads)};
}

/// Many tokens: each is one piece of work.
void attend_tokens(const SparseCore& core, int64_t grain, Scratch& scratch) {
  const Sizes size = sizes_of(core);
  const int64_t floats = size.q + size.out + 2 * size.heads + size.tile;
  float* memory = scratch.take<float>(std::min(max_workers(), (core.tokens + grain - 1) / grain) * floats);
  parallel_pieces(core.tokens, grain, [&](int64_t begin, int64_t end, int64_t worker) {
    float* q = memory + worker * floats;
    float* out = q + size.q;
    float* max = out + size.out;
    float* sum = max + size.heads;
    for (int64_t t = begin; t < end; ++t) {
      prepare_queries(core, t, 0, core.heads, q);
      const Part part{t, 0, core.rows(t), 0, core.heads, q, out, max, sum};
      HWY_DYNAMIC_DISPATCH(AttendPart)(core, part, tile_at(core, sum + size.heads));
      finish_heads(core, t, {1, out, max, sum}, 0, core.heads);
    }
  });
}

/// Few tokens: their rows and heads are divided, and the parts joined.
void attend_parts(const SparseCore& core, int64_t rows, Scratch& scratch) {
  constexpr int64_t kPartRows = 96, kMostParts = 16, kHeads = 2 * kLanes;
  const Sizes size = sizes_of(core);
  const int64_t most = std::min((rows + kPartRows - 1) / kPartRows, kMostParts);
  const int64_t part_rows = (rows + most - 1) / most, parts = (rows + part_rows - 1) / part_rows;
  const int64_t head_blocks = (core.heads + kHeads - 1) / kHeads;
  float* q = scratch.take<float>(core.tokens * size.q);
  float* out = scratch.take<float>(core.tokens * parts * size.out);
  float* max = scratch.take<float>(core.tokens * parts * size.heads);
  float* sum = scratch.take<float>(core.tokens * parts * size.heads);
  float* tiles = scratch.take<float>(max_workers() * size.tile);
  constexpr int64_t kPreparationCost = 16;  // of a value, in multiplications
  parallel_pieces(core.tokens * head_blocks, kWorthwhile / (kPreparationCost * kHeads * core.head_dim) + 1,
                  [&](int64_t begin, int64_t end) {
                    for (int64_t item = begin; item < end; ++item) {
                      const int64_t t = item / head_blocks, first_head = item % head_blocks * kHeads;
                      prepare_queries(core, t, first_head, std::min(core.heads, first_head + kHeads), q + t * size.q);
                    }
                  });
  const auto parts_of = [&](int64_t t) { return (core.rows(t) + part_rows - 1) / part_rows; };
  parallel_pieces(core.tokens * parts * head_blocks, 1, [&](int64_t begin, int64_t end, int64_t worker) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / (parts * head_blocks), p = item / head_blocks % parts, first_head = item % head_blocks * kHeads;
      if (p >= parts_of(t)) continue;
      const int64_t place = t * parts + p;
      const Part part{t,
                      p * part_rows,
                      std::min((p + 1) * part_rows, core.rows(t)),
                      first_head,
                      std::min(kHeads, core.heads - first_head),
                      q + t * size.q,
                      out + place * size.out,
                      max + place * size.heads,
                      sum + place * size.heads};
      HWY_DYNAMIC_DISPATCH(AttendPart)(core, part, tile_at(core, tiles + worker * size.tile));
    }
  });
  parallel_pieces(core.tokens * core.heads, kWorthwhile / (4 * parts * core.head_dim) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t t = item / core.heads, h = item % core.heads, place = t * parts;
      finish_heads(core, t, {parts_of(t), out + place * size.out, max + place * size.heads, sum + place * size.heads}, h, h + 1);
    }
  });
}

}  // namespace

void attend(const SparseCore& core, Scratch& scratch) {
  constexpr int64_t kManyTokens = 16;
  const int64_t rows = core.rows(core.tokens - 1);             // the last token sees the most
  const int64_t work = 2 * core.heads * core.head_dim * rows;  // of one token
  if (core.tokens >= kManyTokens || core.tokens * work < 2 * kWorthwhile) {
    attend_tokens(core, std::clamp<int64_t>(kWorthwhile / work, 1, core.tokens), scratch);
  } else {
    attend_parts(core, rows, scratch);
  }
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
