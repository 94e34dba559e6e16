// Pooling of raw rows into entries. Compiled for every instruction set.
#include "ops/attention/compressor.h"

#include <algorithm>

#include "ops/attention/cache_rounding.h"
#include "ops/attention/cache_view.h"
#include "ops/attention/rows.h"
#include "ops/support/parallel.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/compressor.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/contrib/math/math-inl.h>

#include "ops/attention/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {

/// f(k, z, ape) for every raw row that entry i pools: pointers to its h channels.
template <class F>
HWY_INLINE void for_pooled_rows(const Compressor& c, int64_t entry, const F& f) {
  const int64_t m = c.a.ratio, width = raw_row_floats(c.a.compression(), c.dims()), k_width = width / 2;
  const auto rows = [&](int64_t begin, int64_t offset) HWY_ATTR {
    for (int64_t p = begin; p < begin + m; ++p) {
      const float* row = (p >= c.run.position ? c.raw + (p - c.run.position) * width : c.tail().floats_at(p)) + offset;
      f(row, row + k_width, c.weights.ape + (p - begin) * k_width + offset);
    }
  };
  if (c.a.overlap && entry > 0) rows((entry - 1) * m, 0);
  rows(entry * m, c.a.overlap ? c.dims() : 0);
}

/// out[d] = sum over rows of softmax_rows(Z[d] + ape[d]) K[d]. out and work: [padded(h)] and [2, padded(h)].
void PoolEntry(const Compressor& c, int64_t entry, float* out, float* work) {
  const RowTag d;
  const int64_t h = c.dims();
  float *largest = work, *total = work + padded(h);
  std::fill_n(largest, padded(h), -1e30f);
  std::fill_n(total, padded(h), 0.0f);
  std::fill_n(out, padded(h), 0.0f);
  for_pooled_rows(c, entry, [&](const float*, const float* z, const float* ape) HWY_ATTR {
    for (int64_t i = 0; i < h; i += lanes()) {
      const auto score = hn::Add(load_part(z + i, h - i), load_part(ape + i, h - i));
      hn::StoreU(hn::Max(score, hn::LoadU(d, largest + i)), d, largest + i);
    }
  });
  for_pooled_rows(c, entry, [&](const float* k, const float* z, const float* ape) HWY_ATTR {
    for (int64_t i = 0; i < h; i += lanes()) {
      const auto score = hn::Add(load_part(z + i, h - i), load_part(ape + i, h - i));
      const auto weight = hn::Exp(d, hn::Sub(score, hn::LoadU(d, largest + i)));
      hn::StoreU(hn::Add(weight, hn::LoadU(d, total + i)), d, total + i);
      hn::StoreU(hn::MulAdd(weight, load_part(k + i, h - i), hn::LoadU(d, out + i)), d, out + i);
    }
  });
  for (int64_t i = 0; i < h; i += lanes()) hn::StoreU(hn::Div(hn::LoadU(d, out + i), hn::LoadU(d, total + i)), d, out + i);
}

}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(PoolEntry);

namespace {

/// Entry i of those that the run makes.
void append_entry(const Compressor& c, int64_t i, float* entry, float* work) {
  HWY_DYNAMIC_DISPATCH(PoolEntry)(c, c.first_entry() + i, entry, work);
  rms_norm(entry, c.weights.norm, c.dims(), static_cast<float>(c.a.norm_eps));
  rotate(c.rope, i, entry, c.dims());
  if (c.fp8_dims() > 0) round_through_fp8(entry, c.fp8_dims());
  if (c.fp4()) {
    hadamard(entry, c.dims());
    round_through_fp4(entry, c.dims());
  }
  const CachePrecision type = c.run.cache.type;
  store_row(entry, c.dims(), type, c.entries() + (c.first_entry() + i) * c.dims() * value_bytes(type));
}

}  // namespace

void append_entries(std::span<const Compressor> compressors, Scratch& scratch) {
  const Compressor& any = compressors[0];
  const int64_t width = padded(any.dims());
  int64_t entries = 0;
  for (const Compressor& c : compressors) entries += c.entries_made();
  if (entries > 0) {
    float* memory = scratch.take<float>(max_workers() * 3 * width);
    constexpr int64_t kExpCost = 16;  // in multiplications
    const int64_t grain = kWorthAThread / (raw_rows(any.a.compression()) * any.dims() * kExpCost);
    parallel_pieces(entries, grain, [&](int64_t from, int64_t to, int64_t worker) {
      float* entry = memory + worker * 3 * width;
      const Compressor* c = &any;
      int64_t before = 0;  // entries of the runs before
      for (int64_t i = from; i < to; ++i) {
        while (i - before >= c->entries_made()) before += (c++)->entries_made();
        append_entry(*c, i - before, entry, entry + width);
      }
    });
  }
  for (const Compressor& c : compressors) c.tail().append(c.raw, c.run.position, c.run.rows);
}

}  // namespace dsv4::ops
#endif  // HWY_ONCE
