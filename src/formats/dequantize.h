// Rows of weights converted to and from float32: the loops behind Checkpoint::read_rows. Bytes of a checkpoint may lie at any address.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dsv4 {

/// out[i] = e4m3(weights[i]) * scales[i / block], i < n. One scale for each started block of inputs.
void dequantize_f8_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out);

/// out[i] = e2m1(code i) * scales[i / block]: byte k holds inputs 2k (low nibble) and 2k+1. block is 16 or 32, n even.
void dequantize_f4_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out);

/// out[i] = (code i - zeros[i / block]) * scales[i / block]; codes are nibbles, 0 to 15, in the order of dequantize_f4_row. Any block and n.
void dequantize_i4_row(const std::byte* weights, const float* scales, const float* zeros, int64_t block, int64_t n, float* out);

/// values[i] *= factor, or /= factor.
void scale_row(float factor, bool divides, int64_t n, float* values);

void bf16_to_f32_row(const std::byte* values, int64_t n, float* out);
void f16_to_f32_row(const std::byte* values, int64_t n, float* out);

/// e8m0 bytes as floats; 255 becomes NaN.
void e8m0_to_f32_row(const std::byte* values, int64_t n, float* out);

/// e4m3 bytes as floats; 0x7F and 0xFF become NaN.
void e4m3_to_f32_row(const std::byte* values, int64_t n, float* out);

/// f32_to_f16 (numbers.h) of each value.
void f32_to_f16_row(const float* values, int64_t n, uint16_t* out);

/// Whether none is NaN or infinite.
bool all_finite(const float* values, int64_t n);

}  // namespace dsv4
