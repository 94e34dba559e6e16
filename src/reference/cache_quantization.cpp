// Rounding through FP8 and FP4 by arithmetic on float64, and the Hadamard transform before FP4.
#include "reference/cache_quantization.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "dsv4/error.h"

namespace dsv4::reference {
namespace {

struct MiniFloat {
  int mantissa_bits;
  int min_exponent;  ///< of the smallest normal; subnormals share its step
  float max;
  float reciprocal;  ///< fl32(1 / max): the scale is formed with it, not by division
  float smallest_amax;
  int64_t block;
};

constexpr MiniFloat kE4M3 = {3, -6, 448.0f, 1.0f / 448.0f, 1e-4f, 64};
constexpr MiniFloat kE2M1 = {1, 0, 6.0f, 1.0f / 6.0f, 6.0f * 0x1p-126f, 32};

/// ceil(log2(v)) of a positive normal float32 from its bits, as DeepSeek's kernels do.
int ceil_log2(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const int exponent = static_cast<int>((bits >> 23) & 0xFFu) - 127;
  return exponent + ((bits & 0x7FFFFFu) != 0 ? 1 : 0);
}

/// The nearest value of the format, ties to the even mantissa, saturating.
double nearest(double v, const MiniFloat& format) {
  if (!(std::fabs(v) < static_cast<double>(format.max))) {
    return std::isnan(v) ? v : std::copysign(static_cast<double>(format.max), v);
  }
  if (v == 0.0) return v;
  const int exponent = std::max(std::ilogb(v), format.min_exponent);
  const double step = std::ldexp(1.0, exponent - format.mantissa_bits);
  return std::nearbyint(v / step) * step;
}

// Every result is a short significand times a power of two, hence exact in bfloat16: "values return to bf16" needs no further rounding.
void round_blocks(float* x, int64_t n, const MiniFloat& format) {
  for (int64_t begin = 0; begin < n; begin += format.block) {
    const int64_t end = std::min(n, begin + format.block);
    float amax = format.smallest_amax;
    for (int64_t i = begin; i < end; ++i) amax = std::max(amax, std::fabs(x[i]));
    const int exponent = ceil_log2(amax * format.reciprocal);
    for (int64_t i = begin; i < end; ++i) {
      x[i] = static_cast<float>(std::ldexp(nearest(std::ldexp(static_cast<double>(x[i]), -exponent), format), exponent));
    }
  }
}

}  // namespace

void hadamard(float* x, int64_t n) {
  if (n < 1 || (n & (n - 1)) != 0) {
    fail("indexer: the Hadamard transform needs a power of two, found index_head_dim ", n, "; run without cache quantisation");
  }
  std::vector<double> y(x, x + n);
  for (int64_t half = 1; half < n; half *= 2) {
    for (int64_t first = 0; first < n; first += 2 * half) {
      for (int64_t i = first; i < first + half; ++i) {
        double& a = y[static_cast<size_t>(i)];
        double& b = y[static_cast<size_t>(i + half)];
        const double sum = a + b;
        b = a - b;
        a = sum;
      }
    }
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(n));
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(y[static_cast<size_t>(i)] * scale);
}

void round_through_fp8(float* x, int64_t n) { round_blocks(x, n, kE4M3); }

void round_through_fp4(float* x, int64_t n) { round_blocks(x, n, kE2M1); }

}  // namespace dsv4::reference
