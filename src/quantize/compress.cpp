// NNCF's integer compression, group by group: range, scale, zero point, codes. Compiled for every instruction set; all give the same bits.
#include "quantize/compress.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "formats/dequantize.h"

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

struct Levels {
  int lowest, highest;
};

constexpr Levels levels_of(NumberFormat type) {
  const int levels = 1 << bits_of(type);
  return is_asymmetric(type) ? Levels{0, levels - 1} : Levels{-levels / 2, levels / 2 - 1};
}

constexpr int64_t kGroupsAtOnce = 256;  // a multiple of any number of float lanes

/// Scales and zero points of some groups, as float32: what the codes are computed with. Symmetric types have zero points of 0.
struct Parameters {
  std::array<float, kGroupsAtOnce> scales, zero_points;
};

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

/// n values, fewer than lanes, and the first of them in the other lanes: it changes no range.
struct Padded {
  float values[hn::MaxLanes(Floats())];
  Padded(const float* from, int64_t n) {
    std::copy_n(from, n, values);
    std::fill(values + n, values + hn::Lanes(Floats()), from[0]);
  }
};

HWY_INLINE bool fills_no_vector(int64_t n) { return n < static_cast<int64_t>(hn::Lanes(Floats())); }

HWY_INLINE void range_of(const float* weights, int64_t n, float& min, float& max) {
  auto mins = hn::LoadU(Floats(), weights);
  auto maxs = mins;
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto w = hn::LoadU(Floats(), weights + i);
    mins = hn::Min(mins, w);
    maxs = hn::Max(maxs, w);
  });
  min = hn::GetLane(hn::MinOfLanes(Floats(), mins));
  max = hn::GetLane(hn::MaxOfLanes(Floats(), maxs));
}

/// Adding 1.5 * 2^23 leaves no room for fraction bits, so that a sum is rounded as IEEE rounds, to even. For |value| < 2^22.
constexpr float kWhole = 12582912.0f;

/// Scales and zero points of vectors of groups.
void ParametersOf(const std::array<float, kGroupsAtOnce>& mins, const std::array<float, kGroupsAtOnce>& maxs, int64_t count,
                  NumberFormat type, Parameters& out) {
  const Levels levels = levels_of(type);
  const auto zero = hn::Zero(Floats());
  const auto whole = hn::Set(Floats(), kWhole);
  const auto highest = hn::Set(Floats(), static_cast<float>(levels.highest));
  // Scales nearer to 0 become the machine epsilon, so that no group divides by zero.
  const auto epsilon = hn::Set(Floats(), std::numeric_limits<float>::epsilon());
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int64_t g = 0; g < count; g += lanes) {
    auto min = hn::LoadU(Floats(), mins.data() + g);
    auto max = hn::LoadU(Floats(), maxs.data() + g);
    auto scale = zero;
    if (is_asymmetric(type)) {
      min = hn::Min(zero, min);
      max = hn::Max(zero, max);
      scale = hn::Div(hn::Sub(max, min), highest);
    } else {
      // The side that reaches further gets the end of the codes that reaches further, the lowest: hence the sign.
      const auto reach = hn::Abs(min);
      const auto signed_reach = hn::IfThenElse(hn::Lt(reach, max), hn::Neg(max), reach);
      scale = hn::Div(signed_reach, hn::Set(Floats(), static_cast<float>(-levels.lowest)));
    }
    scale = hn::IfThenElse(hn::Lt(hn::Abs(scale), epsilon), epsilon, scale);
    hn::StoreU(scale, Floats(), out.scales.data() + g);
    auto zero_point = zero;
    if (is_asymmetric(type)) {
      const auto rounded = hn::Sub(hn::Add(hn::Div(min, scale), whole), whole);
      zero_point = hn::Min(hn::Max(hn::Sub(zero, rounded), zero), highest);
    }
    hn::StoreU(zero_point, Floats(), out.zero_points.data() + g);
  }
}

/// The codes of a vector as int32: clamp(round_half_even(w / scale + zero_point)). The quotient is far below 2^22.
HWY_INLINE hn::Vec<Words> codes_of(hn::Vec<Floats> weights, hn::Vec<Floats> scale, hn::Vec<Floats> zero_point, Levels levels) {
  const auto shifted = hn::Add(hn::Div(weights, scale), zero_point);
  const auto bits = hn::BitCast(Words(), hn::Add(shifted, hn::Set(Floats(), kWhole)));
  const auto code = hn::Sub(bits, hn::Set(Words(), std::bit_cast<int32_t>(kWhole)));
  return hn::Max(hn::Min(code, hn::Set(Words(), levels.highest)), hn::Set(Words(), levels.lowest));
}

HWY_INLINE void encode(const float* weights, int64_t n, float scale, float zero_point, NumberFormat type, uint8_t* codes) {
  const Levels levels = levels_of(type);
  const auto mask = hn::Set(Words(), (1 << bits_of(type)) - 1);
  const auto scales = hn::Set(Floats(), scale);
  const auto zero_points = hn::Set(Floats(), zero_point);
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto code = hn::And(codes_of(hn::LoadU(Floats(), weights + i), scales, zero_points, levels), mask);
    hn::StoreU(hn::DemoteTo(Bytes(), code), Bytes(), codes + i);
  });
}

/// At most kGroupsAtOnce groups; zero points are written in asymmetric types.
void CompressGroups(const float* weights, int64_t groups, int64_t group, NumberFormat type, uint8_t* codes, Parameters& parameters,
                    uint8_t* zero_points) {
  std::array<float, kGroupsAtOnce> mins{}, maxs{};
  const bool short_groups = fills_no_vector(group);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int64_t g = 0; g < groups; ++g) {
    const float* begin = weights + g * group;
    if (short_groups) {
      range_of(Padded(begin, group).values, lanes, mins[g], maxs[g]);
    } else {
      range_of(begin, group, mins[g], maxs[g]);
    }
  }
  ParametersOf(mins, maxs, groups, type, parameters);
  for (int64_t g = 0; g < groups; ++g) {
    const float* begin = weights + g * group;
    if (short_groups) {
      uint8_t padded[hn::MaxLanes(Floats())];
      encode(Padded(begin, group).values, lanes, parameters.scales[g], parameters.zero_points[g], type, padded);
      std::memcpy(codes + g * group, padded, static_cast<size_t>(group));
    } else {
      encode(begin, group, parameters.scales[g], parameters.zero_points[g], type, codes + g * group);
    }
    if (is_asymmetric(type)) zero_points[g] = static_cast<uint8_t>(parameters.zero_points[g]);
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

/// (dequantised - w)^2 of a row in INT8_ASYM.
void SquaredErrors(const float* weights, int64_t n, float* squares) {
  constexpr NumberFormat kMode = NumberFormat::kU8;
  if (fills_no_vector(n)) {
    float all[hn::MaxLanes(Floats())];
    SquaredErrors(Padded(weights, n).values, static_cast<int64_t>(hn::Lanes(Floats())), all);
    std::memcpy(squares, all, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  std::array<float, kGroupsAtOnce> mins{}, maxs{};
  Parameters parameters;
  range_of(weights, n, mins[0], maxs[0]);
  ParametersOf(mins, maxs, 1, kMode, parameters);
  const auto scale = hn::Set(Floats(), parameters.scales[0]);
  const auto zero_point = hn::Set(Floats(), parameters.zero_points[0]);
  for_vectors(n, [&](int64_t i) HWY_ATTR {
    const auto w = hn::LoadU(Floats(), weights + i);
    const auto code = hn::ConvertTo(Floats(), codes_of(w, scale, zero_point, levels_of(kMode)));
    const auto difference = hn::Sub(hn::Mul(hn::Sub(code, zero_point), scale), w);
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

void compress_rows(const float* weights, int64_t rows, int64_t columns, const StoredFormat& how, const CompressedRows& out) {
  Parameters parameters;
  const int64_t group = how.group_size == -1 ? columns : how.group_size;
  const int64_t groups = rows * (columns / group);
  for (int64_t g = 0; g < groups; g += kGroupsAtOnce) {
    const int64_t count = std::min(kGroupsAtOnce, groups - g);
    uint8_t* zero_points = is_asymmetric(how.type) ? out.zero_points + g : nullptr;
    HWY_DYNAMIC_DISPATCH(CompressGroups)(weights + g * group, count, group, how.type, out.codes + g * group, parameters, zero_points);
    f32_to_f16_row(parameters.scales.data(), count, out.scales + g);
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
