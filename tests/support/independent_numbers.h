// The number formats a second time, by their definitions with ldexp: what the room's conversions are compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace dsv4::test {

/// sign * 2^(e - bias) * (1 + m / 2^m_bits), subnormals with e = 1 and no 1; special values are the caller's.
inline double ieee_like(uint32_t bits, int e_bits, int m_bits) {
  const int bias = (1 << (e_bits - 1)) - 1;
  const auto e = static_cast<int>((bits >> m_bits) & ((1u << e_bits) - 1));
  const uint32_t m = bits & ((1u << m_bits) - 1);
  const double sign = (bits >> (e_bits + m_bits)) & 1 ? -1.0 : 1.0;
  if (e == 0) return sign * std::ldexp(m, 1 - bias - m_bits);
  return sign * std::ldexp(m + std::ldexp(1.0, m_bits), e - bias - m_bits);
}

inline double e4m3_value(uint32_t byte) { return (byte & 0x7F) == 0x7F ? std::numeric_limits<double>::quiet_NaN() : ieee_like(byte, 4, 3); }

inline double e2m1_value(uint32_t nibble) { return ieee_like(nibble & 15, 2, 1); }

inline double e8m0_value(uint32_t byte) {
  return byte == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, static_cast<int>(byte) - 127);
}

/// Formats whose highest exponent means infinity and NaN.
inline double half_like_value(uint32_t bits, int e_bits, int m_bits) {
  const uint32_t top = (1u << e_bits) - 1;
  if (((bits >> m_bits) & top) != top) return ieee_like(bits, e_bits, m_bits);
  if (bits & ((1u << m_bits) - 1)) return std::numeric_limits<double>::quiet_NaN();
  return (bits >> (e_bits + m_bits)) & 1 ? -HUGE_VAL : HUGE_VAL;
}

inline double f16_value(uint32_t bits) { return half_like_value(bits, 5, 10); }
inline double bf16_value(uint32_t bits) { return half_like_value(bits, 8, 7); }

}  // namespace dsv4::test
