// Random tensors that a model stays sane with: every row a pure function of (seed, tensor name, row), in integer and IEEE-exact arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "checkpoint/config.h"
#include "checkpoint/tensor_table.h"

namespace dsv4 {

/// The random content of one logical tensor: the bytes of its weight and, for FP8 and FP4, of its scale. Any row can be asked for, in any
/// order and from any thread; a tensor of rank 1 is one row.
///
/// Weights of matrices have mean 0 and variance about 1/inputs, their scales spread over several powers of two. Norms are 0.75..1.25, sinks
/// and embeddings N(0,1), biases +-0.1, position biases +-0.5, hc base +-1, hc scale 0.5..1; rows of tid2eid are distinct experts.
class RandomTensor {
 public:
  /// Throws Error for a name that no rule covers.
  RandomTensor(const Config& config, const TensorSpec& spec, uint64_t seed);

  /// Bytes of a stored row of the weight, and rows.
  size_t row_bytes() const { return row_bytes_; }
  int64_t rows() const { return rows_; }
  void fill_row(int64_t row, std::byte* out) const;

  /// The same for the scale; no rows when there is none.
  size_t scale_row_bytes() const { return static_cast<size_t>(scale_cols_); }
  int64_t scale_rows() const { return scale_rows_; }
  void fill_scale_row(int64_t row, std::byte* out) const;

 private:
  enum class Law { kNormal, kUniform, kExperts };

  struct BlockScale {
    uint8_t exponent;  ///< the E8M0 byte
    int shift;         ///< FP8 only: which codes the block uses, see random_weights.cpp
  };

  void choose_law(const std::string& name);
  BlockScale block_scale(int64_t row, int64_t col) const;
  void fill_fp8(int64_t row, uint64_t key, std::byte* out) const;
  void fill_fp4(uint64_t key, std::byte* out) const;
  void fill_real(uint64_t key, std::byte* out) const;
  void fill_experts(uint64_t key, std::byte* out) const;
  float real(uint64_t bits) const;

  NumberFormat published_;
  Law law_ = Law::kNormal;
  float mean_ = 0.0f;
  float spread_ = 0.0f;  ///< kNormal: a unit of the 18-bit sum; kUniform: half the width
  int64_t rows_ = 0, cols_ = 0, scale_rows_ = 0, scale_cols_ = 0;
  int64_t block_rows_ = 0, block_cols_ = 0;  ///< of FP8
  int64_t experts_ = 0;
  int exponent_ = 0;      ///< least exponent of the block scales, before the spread
  uint32_t step_up_ = 0;  ///< of 65536 blocks, how many are a power of two above it
  size_t row_bytes_ = 0;
  uint64_t key_ = 0, scale_key_ = 0;
};

}  // namespace dsv4
