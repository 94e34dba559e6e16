// NNCF's integer compression, group by group: range, scale, zero point, codes.
#include "quantize/compress.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "checkpoint/numbers.h"

namespace dsv4 {
namespace {

struct Range {
  float min, max;
};

/// A scale and, in asymmetric modes, a zero point; as float32, which is what the codes are computed with.
struct Parameters {
  float scale, zero_point;
};

Range range_of(const float* weights, int64_t n) {
  Range range{weights[0], weights[0]};
  for (int64_t i = 1; i < n; ++i) {
    range.min = std::min(range.min, weights[i]);
    range.max = std::max(range.max, weights[i]);
  }
  return range;
}

/// Scales nearer to 0 become the machine epsilon, so that no group divides by zero.
float at_least_epsilon(float scale) {
  constexpr float kEpsilon = std::numeric_limits<float>::epsilon();
  return std::fabs(scale) < kEpsilon ? kEpsilon : scale;
}

Parameters parameters_of(Range range, IntegerMode mode) {
  const float levels = static_cast<float>(1 << bits_of(mode));
  if (is_asymmetric(mode)) {
    const float min = std::min(0.0f, range.min);
    const float max = std::max(0.0f, range.max);
    const float scale = at_least_epsilon((max - min) / (levels - 1.0f));
    return {scale, std::clamp(0.0f - std::nearbyint(min / scale), 0.0f, levels - 1.0f)};
  }
  // The side that reaches further gets the end of the codes that reaches further, -2^(b-1): hence the sign.
  const float reach = std::fabs(range.min);
  return {at_least_epsilon((reach >= range.max ? reach : -range.max) / (levels / 2.0f)), 0.0f};
}

void encode(const float* weights, int64_t n, Parameters parameters, IntegerMode mode, uint8_t* codes) {
  const float levels = static_cast<float>(1 << bits_of(mode));
  const float lowest = is_asymmetric(mode) ? 0.0f : -levels / 2.0f;
  const float highest = lowest + levels - 1.0f;
  const unsigned mask = (1u << bits_of(mode)) - 1u;
  for (int64_t i = 0; i < n; ++i) {
    const float code = std::clamp(std::nearbyint(weights[i] / parameters.scale + parameters.zero_point), lowest, highest);
    codes[i] = static_cast<uint8_t>(static_cast<unsigned>(static_cast<int>(code)) & mask);
  }
}

}  // namespace

void compress_rows(const float* weights, int64_t rows, int64_t columns, const IntegerCompression& how, const CompressedRows& out) {
  const int64_t group = how.group_size == -1 ? columns : how.group_size;
  const int64_t groups = rows * (columns / group);
  for (int64_t g = 0; g < groups; ++g) {
    const float* begin = weights + g * group;
    const Parameters parameters = parameters_of(range_of(begin, group), how.mode);
    encode(begin, group, parameters, how.mode, out.codes + g * group);
    out.scales[g] = f32_to_f16(parameters.scale);
    if (is_asymmetric(how.mode)) out.zero_points[g] = static_cast<uint8_t>(parameters.zero_point);
  }
}

void pack_nibbles(const uint8_t* codes, int64_t count, uint8_t* packed) {
  for (int64_t i = 0; i + 1 < count; i += 2) packed[i / 2] = static_cast<uint8_t>(codes[i] | codes[i + 1] << 4);
  if (count % 2 != 0) packed[count / 2] = codes[count - 1];
}

void int8_row_errors(const float* weights, int64_t rows, int64_t columns, float* errors) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = weights + r * columns;
    const Parameters parameters = parameters_of(range_of(row, columns), IntegerMode::kInt8Asym);
    double sum = 0.0;
    for (int64_t i = 0; i < columns; ++i) {
      const float code = std::clamp(std::nearbyint(row[i] / parameters.scale + parameters.zero_point), 0.0f, 255.0f);
      const float difference = (code - parameters.zero_point) * parameters.scale - row[i];
      sum += static_cast<double>(difference * difference);
    }
    errors[r] = static_cast<float>(sum / static_cast<double>(columns));
  }
}

}  // namespace dsv4
