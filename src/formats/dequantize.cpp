// Row conversions with Highway: compiled for every instruction set, the best one is taken at run time, all give the same bits.
#include "formats/dequantize.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/numbers.h"

// Highway compiles what is between the two marks once for each instruction set, by including this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/dequantize.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h has to come first.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace dsv4::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

using Floats = hn::CappedTag<float, 16>;  // an FP4 block is then a whole number of vectors
using Words = hn::Rebind<uint32_t, Floats>;
using SignedWords = hn::Rebind<int32_t, Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;
using Bytes = hn::Rebind<uint8_t, Floats>;

/// As many 16-bit numbers as Floats has lanes, from any address.
HWY_INLINE hn::Vec<Halves> load_halves(const std::byte* source) {
#if HWY_TARGET == HWY_SCALAR
  uint16_t bits;
  std::memcpy(&bits, source, sizeof bits);
  return hn::Set(Halves(), bits);
#else
  const hn::Repartition<uint8_t, Halves> bytes;
  return hn::BitCast(Halves(), hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(source)));
#endif
}

HWY_INLINE hn::Vec<Words> word(uint32_t bits) { return hn::Set(Words(), bits); }

/// `bits` where the lane of `number` is below `limit` (both below 2^31), else `otherwise`.
HWY_INLINE hn::Vec<Words> if_below(hn::Vec<Words> number, uint32_t limit, hn::Vec<Words> bits, hn::Vec<Words> otherwise) {
  const SignedWords s;
  const auto below = hn::Lt(hn::BitCast(s, number), hn::Set(s, static_cast<int32_t>(limit)));
  return hn::BitCast(Words(), hn::IfThenElse(below, hn::BitCast(s, bits), hn::BitCast(s, otherwise)));
}

HWY_INLINE hn::Vec<Floats> bf16_to_f32(hn::Vec<Halves> bits) {
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(Words(), bits)));
}

/// dsv4::f16_to_f32 for a vector; the comments are there.
HWY_INLINE hn::Vec<Floats> f16_to_f32(hn::Vec<Halves> half) {
  constexpr uint32_t kRebias = (127u - 15u) << 23;
  const auto bits = hn::PromoteTo(Words(), half);
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, word(0x8000u)));
  const auto shifted = hn::ShiftLeft<13>(hn::And(bits, word(0x7FFFu)));
  const auto normal = hn::Add(shifted, word(kRebias));
  const auto finite_or_not = if_below(shifted, 31u << 23, normal, hn::Add(normal, word(kRebias)));
  const auto raised = hn::BitCast(Floats(), hn::Add(normal, word(1u << 23)));
  const auto subnormal = hn::BitCast(Words(), hn::Sub(raised, hn::Set(Floats(), 0x1p-14f)));
  return hn::BitCast(Floats(), hn::Or(sign, if_below(shifted, 1u << 23, subnormal, finite_or_not)));
}

/// e4m3 as f16 above: rebiased, with 2^-6 taken from the subnormals, and the two NaN.
HWY_INLINE hn::Vec<Floats> f8e4m3_to_f32(hn::Vec<Bytes> byte) {
  constexpr uint32_t kRebias = (127u - 7u) << 23;
  const auto bits = hn::PromoteTo(Words(), byte);
  const auto sign = hn::ShiftLeft<24>(hn::And(bits, word(0x80u)));
  const auto magnitude = hn::And(bits, word(0x7Fu));
  const auto normal = hn::Add(hn::ShiftLeft<20>(magnitude), word(kRebias));
  const auto raised = hn::BitCast(Floats(), hn::Add(normal, word(1u << 23)));
  const auto subnormal = hn::BitCast(Words(), hn::Sub(raised, hn::Set(Floats(), 0x1p-6f)));
  const auto finite = if_below(magnitude, 8u, subnormal, normal);
  return hn::BitCast(Floats(), hn::Or(sign, if_below(magnitude, 0x7Fu, finite, word(0x7FC00000u))));
}

/// dsv4::f32_to_f16 for a vector; the comments are there.
HWY_INLINE hn::Vec<Words> f32_to_f16(hn::Vec<Floats> value) {
  const auto bits = hn::BitCast(Words(), value);
  const auto magnitude = hn::And(bits, word(0x7FFFFFFFu));
  const auto sign = hn::And(hn::ShiftRight<16>(bits), word(0x8000u));
  const auto even = hn::And(hn::ShiftRight<13>(magnitude), word(1u));
  const auto rounded = hn::ShiftRight<13>(hn::Add(magnitude, hn::Add(word(0xFFFu), even)));
  const auto normal = hn::Sub(rounded, word((127u - 15u) << 10));
  const auto scaled = hn::Mul(hn::BitCast(Floats(), magnitude), hn::Set(Floats(), 0x1p24f));
  const auto subnormal = hn::And(hn::BitCast(Words(), hn::Add(scaled, hn::Set(Floats(), 8388608.0f))), word(0x007FFFFFu));
  const auto finite = if_below(magnitude, 0x38800000u, subnormal, normal);
  const auto not_nan = if_below(magnitude, 0x477FF000u, finite, word(0x7C00u));
  return hn::Or(sign, if_below(magnitude, 0x7F800001u, not_nan, word(0x7E00u)));
}

void F8Row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  for (int64_t begin = 0; begin < n; begin += block) {
    const float scale = scales[begin / block];
    const auto scales_of_lanes = hn::Set(Floats(), scale);
    const int64_t end = std::min(begin + block, n);
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) {
      const auto bytes = hn::LoadU(Bytes(), reinterpret_cast<const uint8_t*>(weights + i));
      hn::StoreU(hn::Mul(f8e4m3_to_f32(bytes), scales_of_lanes), Floats(), out + i);
    }
    for (; i < end; ++i) out[i] = dsv4::f8e4m3_to_f32(std::to_integer<uint8_t>(weights[i])) * scale;
  }
}

constexpr int64_t kF4AtOnce = 32;  // numbers of 16 bytes

/// Inputs `begin` (even) to n of a row.
void F4RowFrom(const std::byte* weights, const float* scales, int64_t block, int64_t begin, int64_t n, float* out) {
  for (int64_t i = begin; i < n; i += 2) {
    const std::array<float, 2>& pair = kF4E2M1Pairs[std::to_integer<uint8_t>(weights[i / 2])];
    const float scale = scales[i / block];
    out[i] = pair[0] * scale;
    out[i + 1] = pair[1] * scale;
  }
}

#if HWY_TARGET == HWY_SCALAR
void F4Row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  F4RowFrom(weights, scales, block, 0, n, out);
}
#else
/// The 32 numbers of 16 FP4 bytes as bf16, which holds them exactly and needs two table lookups.
HWY_INLINE void f4e2m1_to_bf16(const std::byte* weights, uint16_t* out) {
  const hn::FixedTag<uint8_t, 16> bytes;
  const hn::Repartition<uint16_t, decltype(bytes)> halves;
  alignas(16) static constexpr uint8_t kUpper[16] = {0x00, 0x3F, 0x3F, 0x3F, 0x40, 0x40, 0x40, 0x40,
                                                     0x80, 0xBF, 0xBF, 0xBF, 0xC0, 0xC0, 0xC0, 0xC0};
  alignas(16) static constexpr uint8_t kLower[16] = {0x00, 0x00, 0x80, 0xC0, 0x00, 0x40, 0x80, 0xC0,
                                                     0x00, 0x00, 0x80, 0xC0, 0x00, 0x40, 0x80, 0xC0};
  const auto upper = hn::Load(bytes, kUpper);
  const auto lower = hn::Load(bytes, kLower);
  const auto mask = hn::Set(bytes, uint8_t{0x0F});
  const auto packed = hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(weights));
  const auto even = hn::And(packed, mask);
  const auto odd = hn::And(hn::BitCast(bytes, hn::ShiftRight<4>(hn::BitCast(halves, packed))), mask);
  const auto store = [&](auto codes, uint16_t* to) HWY_ATTR {
    const auto high = hn::TableLookupBytes(upper, codes);
    const auto low = hn::TableLookupBytes(lower, codes);
    hn::StoreU(hn::BitCast(halves, hn::InterleaveLower(bytes, low, high)), halves, to);
    hn::StoreU(hn::BitCast(halves, hn::InterleaveUpper(bytes, low, high)), halves, to + 8);
  };
  store(hn::InterleaveLower(bytes, even, odd), out);
  store(hn::InterleaveUpper(bytes, even, odd), out + 16);
}

/// A block known to the compiler: the loop over it disappears.
template <int64_t kBlock>
HWY_INLINE void f4_row(const std::byte* weights, const float* scales, int64_t n, float* out) {
  constexpr int64_t kRunsAtOnce = 16;  // so many that the bf16 numbers have reached the cache when they are read again, in wider vectors
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));  // divides every block
  const int64_t runs = n / kF4AtOnce;
  alignas(64) uint16_t numbers[kRunsAtOnce * kF4AtOnce];
  for (int64_t first = 0; first < runs; first += kRunsAtOnce) {
    const int64_t count = std::min(kRunsAtOnce, runs - first);
    for (int64_t r = 0; r < count; ++r) f4e2m1_to_bf16(weights + (first + r) * kF4AtOnce / 2, numbers + r * kF4AtOnce);
    float* to = out + first * kF4AtOnce;
    const float* scale_of = scales + first * kF4AtOnce / kBlock;
    for (int64_t begin = 0; begin < count * kF4AtOnce; begin += kBlock) {
      const auto scale = hn::Set(Floats(), *scale_of++);
      for (int64_t i = begin; i < begin + kBlock; i += lanes) {
        const auto bits = hn::LoadU(Halves(), numbers + i);
        hn::StoreU(hn::Mul(bf16_to_f32(bits), scale), Floats(), to + i);
      }
    }
  }
  F4RowFrom(weights, scales, kBlock, runs * kF4AtOnce, n, out);
}

void F4Row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  if (block == 32) return f4_row<32>(weights, scales, n, out);
  f4_row<16>(weights, scales, n, out);
}
#endif

void I4Row(const std::byte* weights, const float* scales, const float* zeros, int64_t block, int64_t n, float* out) {
  constexpr int64_t kCodesAtOnce = 512;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  uint8_t codes[kCodesAtOnce];
  for (int64_t first = 0; first < n; first += kCodesAtOnce) {
    const int64_t count = std::min(kCodesAtOnce, n - first);
    for (int64_t i = 0; i < count; i += 2) {
      const auto pair = std::to_integer<uint8_t>(weights[(first + i) / 2]);
      codes[i] = pair & 0xFu;
      codes[i + 1] = static_cast<uint8_t>(pair >> 4);
    }
    for (int64_t i = 0; i < count;) {
      const int64_t group = (first + i) / block, end = std::min(count, (group + 1) * block - first);
      const float scale = scales[group], zero = zeros[group];
      const auto scale_of_lanes = hn::Set(Floats(), scale), zero_of_lanes = hn::Set(Floats(), zero);
      for (; i + lanes <= end; i += lanes) {
        const auto code = hn::ConvertTo(Floats(), hn::PromoteTo(SignedWords(), hn::LoadU(Bytes(), codes + i)));
        hn::StoreU(hn::Mul(hn::Sub(code, zero_of_lanes), scale_of_lanes), Floats(), out + first + i);
      }
      for (; i < end; ++i) out[first + i] = (static_cast<float>(codes[i]) - zero) * scale;
    }
  }
}

void ScaleRow(float factor, bool divides, int64_t n, float* values) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  const auto factors = hn::Set(Floats(), factor);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::LoadU(Floats(), values + i);
    hn::StoreU(divides ? hn::Div(value, factors) : hn::Mul(value, factors), Floats(), values + i);
  }
  for (; i < n; ++i) values[i] = divides ? values[i] / factor : values[i] * factor;
}

void Bf16Row(const std::byte* values, int64_t n, float* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(bf16_to_f32(load_halves(values + 2 * i)), Floats(), out + i);
  for (; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, values + 2 * i, 2);
    out[i] = dsv4::bf16_to_f32(bits);
  }
}

void F16Row(const std::byte* values, int64_t n, float* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f16_to_f32(load_halves(values + 2 * i)), Floats(), out + i);
  for (; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, values + 2 * i, 2);
    out[i] = dsv4::f16_to_f32(bits);
  }
}

void F32ToF16Row(const float* values, int64_t n, uint16_t* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto half = f32_to_f16(hn::LoadU(Floats(), values + i));
    hn::StoreU(hn::DemoteTo(Halves(), hn::BitCast(SignedWords(), half)), Halves(), out + i);
  }
  for (; i < n; ++i) out[i] = dsv4::f32_to_f16(values[i]);
}

bool AllFinite(const float* values, int64_t n) {
  constexpr uint32_t kExponent = 0x7F800000u;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(Floats()));
  auto largest = hn::Zero(SignedWords());  // exponent of a lane
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(SignedWords(), hn::LoadU(Floats(), values + i));
    largest = hn::Max(largest, hn::And(bits, hn::Set(SignedWords(), static_cast<int32_t>(kExponent))));
  }
  bool finite = hn::GetLane(hn::MaxOfLanes(SignedWords(), largest)) < static_cast<int32_t>(kExponent);
  for (; i < n; ++i) finite &= (std::bit_cast<uint32_t>(values[i]) & kExponent) != kExponent;
  return finite;
}

}  // namespace dsv4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dsv4 {

HWY_EXPORT(F8Row);
HWY_EXPORT(F4Row);
HWY_EXPORT(I4Row);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(Bf16Row);
HWY_EXPORT(F16Row);
HWY_EXPORT(F32ToF16Row);
HWY_EXPORT(AllFinite);

void dequantize_f8_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(F8Row)(weights, scales, block, n, out);
}

void dequantize_f4_row(const std::byte* weights, const float* scales, int64_t block, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(F4Row)(weights, scales, block, n, out);
}

void dequantize_i4_row(const std::byte* weights, const float* scales, const float* zeros, int64_t block, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(I4Row)(weights, scales, zeros, block, n, out);
}

void scale_row(float factor, bool divides, int64_t n, float* values) { HWY_DYNAMIC_DISPATCH(ScaleRow)(factor, divides, n, values); }

void bf16_to_f32_row(const std::byte* values, int64_t n, float* out) { HWY_DYNAMIC_DISPATCH(Bf16Row)(values, n, out); }

void f16_to_f32_row(const std::byte* values, int64_t n, float* out) { HWY_DYNAMIC_DISPATCH(F16Row)(values, n, out); }

void f32_to_f16_row(const float* values, int64_t n, uint16_t* out) { HWY_DYNAMIC_DISPATCH(F32ToF16Row)(values, n, out); }

void e8m0_to_f32_row(const std::byte* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = kF8E8M0Values[std::to_integer<uint8_t>(values[i])];
}

void e4m3_to_f32_row(const std::byte* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = kF8E4M3Values[std::to_integer<uint8_t>(values[i])];
}

bool all_finite(const float* values, int64_t n) { return HWY_DYNAMIC_DISPATCH(AllFinite)(values, n); }

}  // namespace dsv4
#endif  // HWY_ONCE
