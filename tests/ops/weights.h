// Random packed matrices with their values in double, from the definitions of NNCF and of the OCP microscaling formats, in memory that ends at a page that must
// not be touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ops/matrix/packed_matrix.h"

namespace dsv4::testing_support {

/// Normally distributed.
inline std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

/// Bytes whose end is followed by a page without access.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t size) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (size + page - 1) / page * page + page;
    void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    base_ = static_cast<std::byte*>(memory);
    if (mprotect(base_ + mapped_ - page, page, PROT_NONE) != 0) throw std::runtime_error("mprotect failed");
    data_ = base_ + mapped_ - page - size;
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0;
};

struct MatrixKind {
  NumberFormat type;
  int64_t rows;
  int64_t cols;
  int64_t group;  ///< 0: a float type
  bool zero_points;
  int64_t group_rows = 1;  ///< FP8: rows that share a scale
  bool f32_scales = false;
  int64_t first_row = 0;  ///< of the view inside its first block

  std::string name() const {
    static const char* const kNames[] = {"f32", "f16", "bf16", "u8", "i8", "u4", "i4", "f4e2m1", "f8e4m3"};
    return std::string(kNames[static_cast<int>(type)]) + " " + std::to_string(rows) + "x" + std::to_string(cols) + " groups of " +
           std::to_string(group_rows) + " x " + std::to_string(group) + (zero_points ? " with zero points" : "") +
           (f32_scales ? ", f32 scales" : "");
  }
};

struct RandomMatrix {
  ops::PackedMatrix matrix;
  std::vector<double> values;      ///< [rows, cols]
  std::vector<double> magnitudes;  ///< [rows, cols]: of what is added up to a value at most, before it cancels out
  std::unique_ptr<GuardedBytes> codes, scales, zero_points;
};

inline double f16_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

inline RandomMatrix random_matrix(const MatrixKind& kind, uint32_t seed = 1) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  RandomMatrix out;
  ops::PackedMatrix& m = out.matrix;
  m = {.type = kind.type, .rows = kind.rows, .cols = kind.cols, .group = kind.group};
  const int64_t groups = kind.group == 0 ? 0 : kind.cols / kind.group;
  const bool four_bits = kind.type == NumberFormat::kU4 || kind.type == NumberFormat::kI4 || kind.type == NumberFormat::kF4E2M1;
  // A view of rows that may begin inside a block: row r has the scales of (first_row + r) / group_rows.
  m.group_rows = kind.group_rows;
  m.first_row = kind.first_row;
  const auto scale_row = [&](int64_t row) { return (m.first_row + row) / kind.group_rows; };
  const size_t weights = static_cast<size_t>(kind.rows * kind.cols), scaled = static_cast<size_t>((scale_row(kind.rows - 1) + 1) * groups);
  out.values.resize(weights);
  out.magnitudes.resize(weights);

  std::vector<double> scales(scaled, 1.0);
  std::vector<int> zeros(scaled, 0);
  if (groups > 0) {
    const bool e8m0 = kind.type == NumberFormat::kF4E2M1 || (kind.type == NumberFormat::kF8E4M3 && !kind.f32_scales);
    m.scale = kind.f32_scales ? NumberFormat::kF32 : e8m0 ? NumberFormat::kF8E8M0 : NumberFormat::kF16;
    out.scales = std::make_unique<GuardedBytes>(scaled * (kind.f32_scales ? 4 : e8m0 ? 1 : 2));
    for (size_t i = 0; i < scaled; ++i) {
      if (kind.f32_scales) {
        const float scale = std::ldexp(1.0f + 0x1p-23f * static_cast<float>(below(1 << 23)), -static_cast<int>(below(12)));
        std::memcpy(out.scales->data() + 4 * i, &scale, 4);
        scales[i] = scale;
      } else if (e8m0) {
        const uint32_t byte = 115 + below(14);
        out.scales->data()[i] = static_cast<std::byte>(byte);
        scales[i] = std::ldexp(1.0, static_cast<int>(byte) - 127);
      } else {
        // Of both signs, as NNCF's symmetric modes have them; one in sixteen is subnormal.
        const uint32_t exponent = below(16) == 0 ? 0 : 4 + below(10);
        const auto bits = static_cast<uint16_t>(below(2) << 15 | exponent << 10 | below(1024));
        std::memcpy(out.scales->data() + 2 * i, &bits, 2);
        scales[i] = f16_value(bits);
      }
    }
    m.scales = out.scales->data();
  }
  if (kind.zero_points) {
    // A view that begins somewhere in a stack: the first zero point of u4 may be the upper half of a byte.
    m.first_zero_point = four_bits ? 3 : 0;
    const size_t all = scaled + static_cast<size_t>(m.first_zero_point);
    out.zero_points = std::make_unique<GuardedBytes>(four_bits ? (all + 1) / 2 : all);
    m.zero_points = out.zero_points->data();
    std::byte* bytes = out.zero_points->data();
    if (four_bits) std::memset(bytes, 0x99, (all + 1) / 2);
    for (size_t i = 0; i < scaled; ++i) {
      zeros[i] = static_cast<int>(below(four_bits ? 16 : 256));
      const size_t at = i + static_cast<size_t>(m.first_zero_point);
      if (four_bits) {
        auto byte = std::to_integer<uint32_t>(bytes[at / 2]);
        byte = at % 2 == 0 ? (byte & 0xF0u) | static_cast<uint32_t>(zeros[i]) : (byte & 0x0Fu) | static_cast<uint32_t>(zeros[i]) << 4;
        bytes[at / 2] = static_cast<std::byte>(byte);
      } else {
        bytes[i] = static_cast<std::byte>(zeros[i]);
      }
    }
  }

  const size_t width = kind.type == NumberFormat::kF32 ? 4 : kind.type == NumberFormat::kF16 || kind.type == NumberFormat::kBF16 ? 2 : 1;
  out.codes = std::make_unique<GuardedBytes>(four_bits ? weights / 2 : weights * width);
  std::byte* codes = out.codes->data();
  m.codes = codes;
  static const double kFp4[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};
  for (size_t i = 0; i < weights; ++i) {
    const auto row = static_cast<int64_t>(i) / kind.cols, group = groups == 0 ? 0 : static_cast<int64_t>(i) % kind.cols / kind.group;
    const auto g = static_cast<size_t>(scale_row(row) * groups + group);
    double range = 0.0;
    switch (kind.type) {
      case NumberFormat::kF32: {
        const float value = std::ldexp(static_cast<float>(below(1u << 24)) - 0x1p23f, -24);
        std::memcpy(codes + 4 * i, &value, 4);
        out.values[i] = static_cast<double>(value);
        break;
      }
      case NumberFormat::kF16: {
        const auto bits = static_cast<uint16_t>(below(2) << 15 | below(16) << 10 | below(1024));
        std::memcpy(codes + 2 * i, &bits, 2);
        out.values[i] = f16_value(bits);
        break;
      }
      case NumberFormat::kBF16: {
        const uint32_t exponent = 115 + below(12), mantissa = below(128), sign = below(2);
        const auto bits = static_cast<uint16_t>(sign << 15 | exponent << 7 | mantissa);
        std::memcpy(codes + 2 * i, &bits, 2);
        out.values[i] = std::ldexp(128.0 + mantissa, static_cast<int>(exponent) - 134) * (sign ? -1 : 1);
        break;
      }
      case NumberFormat::kU8: {
        const int code = static_cast<int>(below(256));
        codes[i] = static_cast<std::byte>(code);
        out.values[i] = (code - zeros[g]) * scales[g];
        range = 383.0;
        break;
      }
      case NumberFormat::kI8: {
        const int code = static_cast<int>(below(256)) - 128;
        codes[i] = static_cast<std::byte>(code);
        out.values[i] = code * scales[g];
        range = 383.0;
        break;
      }
      case NumberFormat::kF8E4M3: {
        const uint32_t code = below(256) & ~(below(256) % 2 << 7);
        const uint32_t number = (code & 0x7F) == 0x7F ? code - 1 : code;  // no NaN
        codes[i] = static_cast<std::byte>(number);
        const uint32_t exponent = number >> 3 & 15, fraction = number & 7;
        const double magnitude = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8.0 + fraction, static_cast<int>(exponent) - 10);
        out.values[i] = (number >> 7 ? -magnitude : magnitude) * scales[g];
        break;
      }
      default: {
        const int code = static_cast<int>(below(16));
        const auto old = std::to_integer<int>(codes[i / 2]);
        codes[i / 2] = static_cast<std::byte>(i % 2 == 0 ? code : old | code << 4);
        out.values[i] = scales[g] * (kind.type == NumberFormat::kF4E2M1 ? kFp4[code]
                                     : kind.type == NumberFormat::kU4   ? code - zeros[g]
                                                                        : (code < 8 ? code : code - 16));
        range = 30.0;
      }
    }
    out.magnitudes[i] = std::max(std::abs(out.values[i]), range * std::abs(groups == 0 ? 0.0 : scales[g]));
  }
  return out;
}

}  // namespace dsv4::testing_support
