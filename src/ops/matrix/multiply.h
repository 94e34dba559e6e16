// Products of activations with packed weights: y[t,r] = sum_k w[r,k] x[t,k], for one token (a GEMV) or many (tiles), several matrices at once.
#pragma once

#include <cstdint>
#include <span>

#include "dsv4/precision.h"
#include "ops/matrix/packed_matrix.h"
#include "ops/support/scratch.h"

namespace dsv4::ops {

constexpr int64_t kActivationBlock = 32;

/// Inputs of products: rows of float32, and the same rounded if the mode asks for it. A view: memory belongs to the caller and to the Scratch.
struct Activations {
  const float* values = nullptr;  ///< [rows of the buffer, stride]
  int64_t tokens = 0;
  int64_t cols = 0;
  int64_t stride = 0;            ///< floats from one row to the next
  const int32_t* row = nullptr;  ///< [tokens] row of each token in the buffer and in what is below; null: token t is row t
  // Null with kF32. Blocks are kActivationBlock columns, the last one filled up with zeros.
  const int8_t* codes = nullptr;  ///< [rows, blocks*kActivationBlock], in -127..127
  /// [rows, 2, blocks*kActivationBlock/2]: the codes of the even columns, then those of the odd ones, as 4-bit weights lie
  const int8_t* planes = nullptr;
  const float* scales = nullptr;  ///< [rows, blocks]: largest |x| / 127
  const float* sums = nullptr;    ///< [rows, blocks]: scale * sum of the codes

  int64_t blocks() const { return (cols + kActivationBlock - 1) / kActivationBlock; }
  /// Row of a token in the buffer and in what is beside it.
  int64_t row_of(int64_t token) const { return row ? row[token] : token; }
  const float* values_of(int64_t token) const { return values + row_of(token) * stride; }
  /// Tokens [begin, begin + n) alone.
  Activations slice(int64_t begin, int64_t n) const;
};

/// x [tokens, cols] with rows `stride` floats apart; rounds them when the mode is kInt8 (code = nearest even of x / scale), in memory of `scratch`. A block
/// with a NaN or an infinity has a scale and a sum of NaN.
Activations make_activations(const float* x, int64_t tokens, int64_t cols, int64_t stride, ActivationRounding mode, Scratch& scratch);

/// One matrix times some tokens. y[t * y_stride + r]; products of one call write different places.
struct Product {
  PackedMatrix matrix;  ///< plain: count is 1
  Activations x;
  float* y = nullptr;
  int64_t y_stride = 0;
};

/// All products in one parallel region, divided by bytes and arithmetic over the threads of the caller's arena. Compressed matrices use x's codes where it has
/// them and the groups are whole blocks; otherwise, and for float and FP8 matrices, the products are in float32. The bits of a token's
/// result depend neither on the number of threads nor on the other tokens and products of the call.
void multiply(std::span<const Product> products, Scratch& scratch);

/// One product.
void multiply(const PackedMatrix& matrix, const Activations& x, float* y, int64_t y_stride, Scratch& scratch);

}  // namespace dsv4::ops
