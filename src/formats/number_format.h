// The one table of number formats: what a weight's values, codes, scales and indices are stored in, by checkpoint, converter, folder and kernels alike.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dsv4 {

/// The numbers are part of IRs with dsv4's ops (ops/support/op_inputs.h): new ones come last.
enum class NumberFormat {
  kF32,
  kF16,
  kBF16,
  kU8,      ///< (code - zero point) * scale
  kI8,      ///< code * scale
  kU4,      ///< (code - zero point) * scale, two codes a byte, the even one in the low nibble
  kI4,      ///< code * scale, packed like u4
  kF4E2M1,  ///< value of the FP4 code * scale, packed like u4
  kF8E4M3,  ///< value of the FP8 code (e4m3fn: no infinities) * scale
  kF8E8M0,  ///< a power of two, 2^(byte - 127): scales
  kI32,
  kI64,
};

/// What shares a scale.
enum class GroupRule {
  kNone,    ///< nothing: values stand for themselves
  kChosen,  ///< the inputs of a row, or equal groups of them: whoever compresses chooses
  kOf32,    ///< 32 inputs of a row, as FP4 is published
  kBlocks,  ///< some rows times some inputs, 128 x 128 as FP8 is published
};

struct NumberFormatRow {
  NumberFormat format;
  std::string_view name;  ///< OpenVINO's name of the element type
  int bits;
  GroupRule groups;
  NumberFormat scale;  ///< what its scales are stored in, where there are any; FP8 has E8M0 or F32
  bool zero_points;    ///< codes are unsigned and a zero point is taken off them
};

inline constexpr std::array<NumberFormatRow, 12> kNumberFormats = {{
    {NumberFormat::kF32, "f32", 32, GroupRule::kNone, NumberFormat::kF32, false},
    {NumberFormat::kF16, "f16", 16, GroupRule::kNone, NumberFormat::kF32, false},
    {NumberFormat::kBF16, "bf16", 16, GroupRule::kNone, NumberFormat::kF32, false},
    {NumberFormat::kU8, "u8", 8, GroupRule::kChosen, NumberFormat::kF16, true},
    {NumberFormat::kI8, "i8", 8, GroupRule::kChosen, NumberFormat::kF16, false},
    {NumberFormat::kU4, "u4", 4, GroupRule::kChosen, NumberFormat::kF16, true},
    {NumberFormat::kI4, "i4", 4, GroupRule::kChosen, NumberFormat::kF16, false},
    {NumberFormat::kF4E2M1, "f4e2m1", 4, GroupRule::kOf32, NumberFormat::kF8E8M0, false},
    {NumberFormat::kF8E4M3, "f8e4m3", 8, GroupRule::kBlocks, NumberFormat::kF8E8M0, false},
    {NumberFormat::kF8E8M0, "f8e8m0", 8, GroupRule::kNone, NumberFormat::kF32, false},
    {NumberFormat::kI32, "i32", 32, GroupRule::kNone, NumberFormat::kF32, false},
    {NumberFormat::kI64, "i64", 64, GroupRule::kNone, NumberFormat::kF32, false},
}};

inline constexpr int64_t kFp4Group = 32;  ///< inputs that share a scale of published FP4

constexpr const NumberFormatRow& row_of(NumberFormat format) { return kNumberFormats[static_cast<size_t>(format)]; }

constexpr std::string_view name_of(NumberFormat format) { return row_of(format).name; }
constexpr int bits_of(NumberFormat format) { return row_of(format).bits; }
/// Codes with scales.
constexpr bool is_scaled(NumberFormat format) { return row_of(format).groups != GroupRule::kNone; }
/// Integers with a zero point.
constexpr bool is_asymmetric(NumberFormat format) { return row_of(format).zero_points; }
/// Integers with a scale a row or a group, which NNCF's arithmetic makes.
constexpr bool is_integer_code(NumberFormat format) { return row_of(format).groups == GroupRule::kChosen; }
/// Two codes a byte.
constexpr bool is_four_bits(NumberFormat format) { return bits_of(format) == 4; }
/// Bytes of so many values one after another.
constexpr int64_t bytes_of(NumberFormat format, int64_t values) { return (values * bits_of(format) + 7) / 8; }

/// The format of that name; nothing for any other text.
constexpr std::optional<NumberFormat> number_format(std::string_view name) {
  for (const NumberFormatRow& row : kNumberFormats) {
    if (row.name == name) return row.format;
  }
  return std::nullopt;
}

}  // namespace dsv4
