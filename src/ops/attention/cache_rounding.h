// The rounding of cached values that the model was trained with (spec 2.9 ii): through FP8 or FP4 and back, in place.
#pragma once

#include <cstdint>

namespace dsv4::ops {

/// x H_n / sqrt(n) in Sylvester order. n is a power of two.
void hadamard(float* x, int64_t n);

/// Blocks of 64, the last one may be short, through e4m3fn with a power-of-two scale: ceil(log2(max(amax, 1e-4) / 448)).
void round_through_fp8(float* x, int64_t n);

/// Blocks of 32, the last one may be short, through e2m1 with a power-of-two scale: ceil(log2(max(amax, 6 * 2^-126) / 6)).
void round_through_fp4(float* x, int64_t n);

}  // namespace dsv4::ops
