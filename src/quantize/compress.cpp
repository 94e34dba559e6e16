// NNCF's integer compression, group by group: range, scale, zero point, codes. Compiled for every instruction set; all give the same bits.
#include "quantize/compress.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "checkpoint/dequantize.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantize/compress.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/highway.h>

#ifndef DSV4_QUANTIZE_COMPRESS_ONCE
#define DSV4_QUANTIZE_COMPRESS_ONCE
namespace dsv4 {
namespace {

struct Range {
  float min, max;
};

/// A scale and, in asymmetric modes, a zero point; as float32, which is what the codes are computed with.
struct Parameters {
  float scale, zero_point;
};

struct Levels {
  int lowest, highest;
};

constexpr Levels levels_of(IntegerMode mode) {
  const int levels = 1 << bits_of(mode);
  return is_asymmetric(mode) ? Levels{0, levels - 1} : Levels{-levels / 2, levels / 2 - 1};
}

/// Scales nearer to 0 become the machine epsilon, so that no group divides by zero.
inline float at_least_epsilon(float scale) {
  constexpr float kEpsilon = std::numeric_limits<float>::epsilon();
  return std::fabs(scale) < kEpsilon ? kEpsilon : scale;
}

inline Parameters parameters_of(Range range, IntegerMode mode) {
  const Levels levels = levels_of(mode);
  const float highest = static_cast<float>(levels.highest);
  if (is_asymmetric(mode)) {
    const float min = std::min(0.0f, range.min);
    const float max = std::max(0.0f, range.max);
    const float scale = at_least_epsilon((max - min) / highest);
    return {scale, std::clamp(0.0f - std::nearbyint(min / scale), 0.0f, highest)};
  }
  // The side that reaches further gets the end of the codes that reaches further, the lowest: hence the sign.
  const float reach = std::fabs(range.min);
  return {at_least_epsilon((reach >= range.max ? reach : -range.max) / static_cast<float>(-levels.lowest)), 0.0f};
}

}  // namespace
}  // namespace dsv4
#endif  // DSV4_QUANTIZE_COMPRESS_ONCE

HWY_BEFORE_NAMESPACE();
namespace dsv4::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::Rebind<int32_t, Floats>;
using Bytes = hn::Rebind<uint8_t, Floats>;

/// f(i) for i = 0, lanes, 2 lanes, ... below n; the last vector ends at n and may overlap the one before. n is at least the number of lanes.
template <class F>
HWY_INLINE void for_vectors(int64_t n, F f) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(i);
  if (i < n) f(n - lanes);
}

/// n values, fewer than lanes, repeated as often as fits: what is computed from all lanes is computed from the values alone.
struct Padded {
  float values[hn::MaxLanes(Floats())];
  Padded(const float* from, int64_t n) {
    for (int64_t i = 0; i < static_cast<int64_t>(hn::Lanes(Floats())); ++i) values[i] = from[i % n];
  }
};

HWY_INLINE bool fills_no_vector(int64_t n) { return n < static_cast<int64_t>(hn::Lanes(Floats())); }

Range range_of(const float* weights, int64_t n) {
  if (fills_no_vector(n)) return range_of(Padded(weights, n).values, static_cast<int64_t>(hn::Lanes(Floats())));
  auto min = hn::LoadU(Floats(), weights);
  auto max = min;
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto w = hn::LoadU(Floats(), weights + i);
    min = hn::Min(min, w);
    max = hn::Max(max, w);
  });
  return {hn::GetLane(hn::MinOfLanes(Floats(), min)), hn::GetLane(hn::MaxOfLanes(Floats(), max))};
}

/// The codes of a vector as int32: clamp(round_half_even(w / scale + zero_point)).
HWY_INLINE hn::Vec<Words> codes_of(hn::Vec<Floats> weights, Parameters parameters, Levels levels) {
  // Adding 1.5 * 2^23 leaves no room for fraction bits, so that the sum is rounded as IEEE rounds, to even; the quotient is far below 2^22.
  constexpr float kWhole = 12582912.0f;
  const auto quotient = hn::Div(weights, hn::Set(Floats(), parameters.scale));
  const auto shifted = hn::Add(quotient, hn::Set(Floats(), parameters.zero_point));
  const auto bits = hn::BitCast(Words(), hn::Add(shifted, hn::Set(Floats(), kWhole)));
  const auto code = hn::Sub(bits, hn::Set(Words(), std::bit_cast<int32_t>(kWhole)));
  return hn::Max(hn::Min(code, hn::Set(Words(), levels.highest)), hn::Set(Words(), levels.lowest));
}

void encode(const float* weights, int64_t n, Parameters parameters, IntegerMode mode, uint8_t* codes) {
  if (fills_no_vector(n)) {
    uint8_t padded[hn::MaxLanes(Floats())];
    encode(Padded(weights, n).values, static_cast<int64_t>(hn::Lanes(Floats())), parameters, mode, padded);
    std::memcpy(codes, padded, static_cast<size_t>(n));
    return;
  }
  const Levels levels = levels_of(mode);
  const auto mask = hn::Set(Words(), (1 << bits_of(mode)) - 1);
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto code = hn::And(codes_of(hn::LoadU(Floats(), weights + i), parameters, levels), mask);
    hn::StoreU(hn::DemoteTo(Bytes(), code), Bytes(), codes + i);
  });
}

void CompressGroups(const float* weights, int64_t groups, int64_t group, IntegerMode mode, uint8_t* codes, float* scales,
                    uint8_t* zero_points) {
  for (int64_t g = 0; g < groups; ++g) {
    const float* begin = weights + g * group;
    const Parameters parameters = parameters_of(range_of(begin, group), mode);
    encode(begin, group, parameters, mode, codes + g * group);
    scales[g] = parameters.scale;
    if (is_asymmetric(mode)) zero_points[g] = static_cast<uint8_t>(parameters.zero_point);
  }
}

void PackNibbles(const uint8_t* codes, int64_t count, uint8_t* packed) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<uint8_t> bytes;
  const hn::Repartition<int16_t, decltype(bytes)> pairs;
  const hn::Rebind<uint8_t, decltype(pairs)> half;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(bytes));
  for (; i + lanes <= count; i += lanes) {
    const auto pair = hn::BitCast(pairs, hn::LoadU(bytes, codes + i));  // even code in the lower byte
    const auto both = hn::And(hn::Or(pair, hn::ShiftRight<4>(pair)), hn::Set(pairs, int16_t{0xFF}));
    hn::StoreU(hn::DemoteTo(half, both), half, packed + i / 2);
  }
#endif
  for (; i + 1 < count; i += 2) packed[i / 2] = static_cast<uint8_t>(codes[i] | codes[i + 1] << 4);
  if (i < count) packed[i / 2] = codes[i];
}

/// (dequantised - w)^2 of a group in INT8_ASYM.
void SquaredErrors(const float* weights, int64_t n, float* squares) {
  if (fills_no_vector(n)) {
    Padded padded(weights, n);
    float all[hn::MaxLanes(Floats())];
    SquaredErrors(padded.values, static_cast<int64_t>(hn::Lanes(Floats())), all);
    std::memcpy(squares, all, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  const Parameters parameters = parameters_of(range_of(weights, n), IntegerMode::kInt8Asym);
  const auto scale = hn::Set(Floats(), parameters.scale);
  const auto zero_point = hn::Set(Words(), static_cast<int32_t>(parameters.zero_point));
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto w = hn::LoadU(Floats(), weights + i);
    const auto code = codes_of(w, parameters, levels_of(IntegerMode::kInt8Asym));
    const auto dequantized = hn::Mul(hn::ConvertTo(Floats(), hn::Sub(code, zero_point)), scale);
    const auto difference = hn::Sub(dequantized, w);
    hn::StoreU(hn::Mul(difference, difference), Floats(), squares + i);
  });
}

}  // namespace dsv4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4 {

HWY_EXPORT(CompressGroups);
HWY_EXPORT(PackNibbles);
HWY_EXPORT(SquaredErrors);

void compress_rows(const float* weights, int64_t rows, int64_t columns, const IntegerCompression& how, const CompressedRows& out) {
  constexpr int64_t kGroupsAtOnce = 256;
  std::array<float, kGroupsAtOnce> scales;
  const int64_t group = how.group_size == -1 ? columns : how.group_size;
  const int64_t groups = rows * (columns / group);
  for (int64_t g = 0; g < groups; g += kGroupsAtOnce) {
    const int64_t count = std::min(kGroupsAtOnce, groups - g);
    uint8_t* zero_points = is_asymmetric(how.mode) ? out.zero_points + g : nullptr;
    HWY_DYNAMIC_DISPATCH(CompressGroups)(weights + g * group, count, group, how.mode, out.codes + g * group, scales.data(), zero_points);
    f32_to_f16_row(scales.data(), count, out.scales + g);
  }
}

void pack_nibbles(const uint8_t* codes, int64_t count, uint8_t* packed) { HWY_DYNAMIC_DISPATCH(PackNibbles)(codes, count, packed); }

void int8_row_errors(const float* weights, int64_t rows, int64_t columns, float* errors) {
  constexpr int64_t kSums = 8;  // the order of the additions is the same on all machines
  std::vector<float> squares(static_cast<size_t>(columns));
  for (int64_t r = 0; r < rows; ++r) {
    HWY_DYNAMIC_DISPATCH(SquaredErrors)(weights + r * columns, columns, squares.data());
    std::array<double, kSums> sums{};
    int64_t i = 0;
    for (; i + kSums <= columns; i += kSums) {
      for (int64_t k = 0; k < kSums; ++k) sums[k] += static_cast<double>(squares[i + k]);
    }
    for (int64_t k = 0; i + k < columns; ++k) sums[k] += static_cast<double>(squares[i + k]);
    double sum = 0.0;
    for (const double part : sums) sum += part;
    errors[r] = static_cast<float>(sum / static_cast<double>(columns));
  }
}

}  // namespace dsv4
#endif  // HWY_ONCE
