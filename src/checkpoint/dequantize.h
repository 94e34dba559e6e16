// Rows of weights converted to and from float32: the loops behind Checkpoint::read_rows. Bytes of a checkpoint may lie at any address.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dsv4 {

/// out[i] = e4m3(weights[i]) * scales[i / block], i < n. One scale for each started block of inputs.
void dequantize_f8_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out);

/// Byte k holds inputs 2k (low nibble) and 2k+1; one scale for each started 32 inputs. n is even.
void dequantize_f4_row(const std::byte* weights, const float* scales, int64_t n, float* out);

void bf16_to_f32_row(const std::byte* values, int64_t n, float* out);
void f16_to_f32_row(const std::byte* values, int64_t n, float* out);

/// e8m0 bytes as floats; 255 becomes NaN.
void e8m0_to_f32_row(const std::byte* values, int64_t n, float* out);

/// f32_to_f16 (numbers.h) of each value.
void f32_to_f16_row(const float* values, int64_t n, uint16_t* out);

/// Whether none is NaN or infinite.
bool all_finite(const float* values, int64_t n);

}  // namespace dsv4
