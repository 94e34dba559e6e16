// Compressed rows times a few tokens in int8: what decoding consists of. Weights are read once, in order.
#include "ops/matrix/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matrix/gemv_int8.cpp"
#define HWY_WANT_AVX3_DL
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include "ops/matrix/codes-inl.h"
#include "ops/matrix/far_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace dsv4::ops::HWY_NAMESPACE {
namespace {

#if DSV4_AVX512 || DSV4_AVX2

void GemvInt8(const Product& p, const float* sums, const std::byte* records, int64_t begin, int64_t end) {
  multiply_far(p, sums, records, code_form(p.matrix.type), begin, end);
}

int64_t RecordBytes(const PackedMatrix& m) { return units_of_row(m.cols, chunk_columns(m)) * kRecord; }

void MakeRecords(const PackedMatrix& m, const Activations& x, std::byte* out) { make_far_records(m, x, out); }

#else

/// The product of a block's codes.
HWY_INLINE int32_t dot_of_block(const CodeForm& form, bool four_bits, const uint8_t* w, const Activations& x, int64_t x_row,
                                int64_t block) {
  int32_t dot = 0;
  if (four_bits) {
    const int64_t half = kActivationBlock / 2;
    const int8_t* even = x.planes + x_row * x.blocks() * kActivationBlock + block * half;
    const int8_t* odd = even + x.blocks() * half;
    for (int64_t i = 0; i < half; ++i) dot += form.table[w[i] & 15] * even[i] + form.table[w[i] >> 4] * odd[i];
  } else {
    const int8_t* codes = x.codes + (x_row * x.blocks() + block) * kActivationBlock;
    for (int64_t i = 0; i < kActivationBlock; ++i) dot += (w[i] ^ form.flip) * codes[i];
  }
  return dot;
}

void GemvInt8(const Product& p, const float* sums, const std::byte*, int64_t begin, int64_t end) {
  const PackedMatrix& m = p.matrix;
  const CodeForm form = code_form(m.type);
  const bool four_bits = is_four_bits(m.type), corrected = is_corrected(m, form);
  const int64_t segment = segment_columns(m), chunk = chunk_columns(m), segments = m.cols / segment, blocks = p.x.blocks();
  const int64_t block_bytes = four_bits ? kActivationBlock / 2 : kActivationBlock, per_segment = segment / kActivationBlock;
  constexpr int64_t kMost = kChunkColumns / kActivationBlock;
  float scales[kMost], zeros[kMost];
  for (int64_t r = begin; r < end; ++r) {
    const auto* codes = reinterpret_cast<const uint8_t*>(m.codes) + r * m.row_bytes();
    for (int64_t c = 0; c < m.cols; c += chunk) {
      const int64_t first = c / segment, count = std::min(chunk, m.cols - c) / segment;
      load_segment_factors(m, form, r, m.groups(), segment, first, count, scales, zeros);
      for (int64_t t = 0; t < p.x.tokens; ++t) {
        const int64_t x_row = p.x.row_of(t);
        float sum[kSumLanes] = {}, correction[kSumLanes] = {};
        for (int64_t i = 0; i < count * per_segment; ++i) {
          const int64_t b = c / kActivationBlock + i;
          const int32_t dot = dot_of_block(form, four_bits, codes + b * block_bytes, p.x, x_row, b);
          sum[i % kSumLanes] += static_cast<float>(dot) * p.x.scales[x_row * blocks + b] * scales[i / per_segment];
        }
        for (int64_t s = 0; corrected && s < count; ++s) correction[s % kSumLanes] += zeros[s] * sums[t * segments + first + s];
        for (int64_t i = 0; i < kSumLanes; ++i) sum[i] -= correction[i];
        const float result = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * form.factor;
        float& y = p.y[t * p.y_stride + r];
        y = c == 0 ? result : y + result;
      }
    }
  }
}

int64_t RecordBytes(const PackedMatrix&) { return 0; }

void MakeRecords(const PackedMatrix&, const Activations&, std::byte*) {}

#endif

}  // namespace
}  // namespace dsv4::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4::ops {

HWY_EXPORT(GemvInt8);
HWY_EXPORT(RecordBytes);
HWY_EXPORT(MakeRecords);

void gemv_int8(const Product& product, const float* sums, const std::byte* records, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(GemvInt8)(product, sums, records, begin, end);
}

int64_t record_bytes(const PackedMatrix& matrix) { return HWY_DYNAMIC_DISPATCH(RecordBytes)(matrix); }

void make_records(const PackedMatrix& matrix, const Activations& x, std::byte* out) { HWY_DYNAMIC_DISPATCH(MakeRecords)(matrix, x, out); }

}  // namespace dsv4::ops
#endif  // HWY_ONCE
