// A weight matrix as the .bin holds it: a view of codes, scales and zero points, never a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "formats/number_format.h"
#include "openvino/core/shape.hpp"
#include "openvino/core/type/element_type.hpp"

namespace dsv4::ops {

/// A stack of `count` matrices [rows, cols], one after another; a plain matrix is a stack of one. Rows follow each other without padding. All pointers
/// are unaligned. Scales are float16, of kF4E2M1 E8M0 bytes, of kF8E4M3 these or float32; zero points have the type of the codes.
struct PackedMatrix {
  NumberFormat type = NumberFormat::kF32;
  int64_t count = 1;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t group = 0;  ///< columns that share a scale; cols: one a row; 0: no scales
  const std::byte* codes = nullptr;
  const std::byte* scales = nullptr;       ///< [count*rows/group_rows, groups()], those of row 0 of this view first
  const std::byte* zero_points = nullptr;  ///< [count*rows, groups()]; null: zero
  int64_t first_zero_point = 0;            ///< index of this view's first zero point from `zero_points` (u4 ones may begin inside a byte)
  int64_t group_rows = 1;                  ///< rows that share a row of scales: more than one for kF8E4M3 only
  int64_t first_row = 0;                   ///< of this view among the rows that share its first row of scales
  NumberFormat scale = NumberFormat::kF16;

  int64_t groups() const { return group == 0 ? 0 : cols / group; }
  int64_t row_bytes() const { return bytes_of(type, cols); }  ///< of codes
  /// Index of the first scale of a row, from `scales`.
  int64_t scale_index(int64_t row) const { return (group_rows == 1 ? row : (first_row + row) / group_rows) * groups(); }
  // Of the whole stack:
  int64_t code_bytes() const { return count * rows * row_bytes(); }
  int64_t scale_bytes() const { return bytes_of(scale, count * rows / group_rows * groups()); }
  int64_t zero_point_bytes() const { return bytes_of(type, count * rows * groups()); }  ///< if it has zero points
  /// What a product with one of the matrices reads: codes, scales and zero points.
  int64_t bytes() const;
  /// Matrix `index` of the stack.
  PackedMatrix at(int64_t index) const;
  /// Rows [begin, begin + n) of a plain matrix.
  PackedMatrix slice(int64_t begin, int64_t n) const;
};

/// Whether tensors of three dims are a stack [E,out,in] or groups [out,in/g,g] of one matrix.
enum class MatrixForm { kPlain, kStack };

/// The matrix that 1 to 3 tensors stand for, as the converter writes them: codes [out,in], [E,out,in] or, in groups, [..., in/g, g]; scales
/// and zero points with 1 in place of the last dim. FP8 codes are [..., out/r, r, in/g, g], their scales [..., out/r, 1, in/g, 1]. An exact tensor [n] is one row. Error (dsv4::Error that begins with `what`) for any other shape or type,
/// and for 4-bit rows that do not fill whole bytes.
PackedMatrix describe_matrix(std::span<const ov::element::Type> types, std::span<const ov::Shape> shapes, MatrixForm form,
                             const std::string& what);

/// Row `row` of a plain matrix as float32, `out` [cols]: (code - zero point) * float32(scale), the arithmetic of every product.
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace dsv4::ops
