// Products by unpacking one row of weights at a time.
#include "ops/matrix/multiply.h"

#include <algorithm>
#include <cmath>

#include "ops/support/parallel.h"

namespace dsv4::ops {

Activations make_activations(const float* x, int64_t tokens, int64_t cols, int64_t stride, ActivationMode mode, Scratch& scratch) {
  Activations a{.values = x, .tokens = tokens, .cols = cols, .stride = stride};
  if (mode == ActivationMode::kF32) return a;
  const int64_t blocks = a.blocks();
  int8_t* codes = scratch.take<int8_t>(tokens * blocks * kActivationBlock);
  float* scales = scratch.take<float>(tokens * blocks);
  float* sums = scratch.take<float>(tokens * blocks);
  std::fill_n(codes, tokens * blocks * kActivationBlock, int8_t{0});
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = b * kActivationBlock, end = std::min(cols, begin + kActivationBlock);
      float largest = 0.0f;
      for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::abs(x[t * stride + c]));
      const float scale = largest / 127.0f, inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
      int sum = 0;
      for (int64_t c = begin; c < end; ++c) {
        const int code = static_cast<int>(std::nearbyint(x[t * stride + c] * inverse));
        codes[t * blocks * kActivationBlock + c] = static_cast<int8_t>(code);
        sum += code;
      }
      scales[t * blocks + b] = scale;
      sums[t * blocks + b] = scale * static_cast<float>(sum);
    }
  }
  a.codes = codes;
  a.scales = scales;
  a.sums = sums;
  return a;
}

void multiply(std::span<const Product> products, Scratch& scratch) {
  for (const Product& p : products) {
    float* w = scratch.take<float>(p.matrix.rows * p.matrix.cols);
    parallel_pieces(p.matrix.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        unpack_row(p.matrix, r, w + r * p.matrix.cols);
        for (int64_t t = 0; t < p.x.tokens; ++t) {
          const int64_t row = p.x.row ? p.x.row[t] : t;
          float sum = 0.0f;
          for (int64_t c = 0; c < p.matrix.cols; ++c) {
            float x = p.x.values[row * p.x.stride + c];
            if (p.x.codes && p.matrix.group != 0) {
              x = p.x.scales[row * p.x.blocks() + c / kActivationBlock] *
                  static_cast<float>(p.x.codes[row * p.x.blocks() * kActivationBlock + c]);
            }
            sum += w[r * p.matrix.cols + c] * x;
          }
          p.y[t * p.y_stride + r] = sum;
        }
      }
    });
  }
}

void multiply(const PackedMatrix& matrix, const Activations& x, float* y, int64_t y_stride, Scratch& scratch) {
  const Product product{matrix, x, y, y_stride};
  multiply(std::span(&product, 1), scratch);
}

}  // namespace dsv4::ops
