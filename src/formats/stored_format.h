// How a weight is stored: the format of its values and what shares a scale.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "formats/number_format.h"

namespace dsv4 {

struct StoredFormat {
  NumberFormat type = NumberFormat::kF32;
  /// Integers: inputs of a row that share a scale, a divisor of the columns; -1: the whole row. FP8: the inputs of a block. Else without meaning.
  int64_t group_size = -1;
  int64_t group_rows = 1;                          ///< FP8: the rows of a block, a divisor of the rows
  NumberFormat fp8_scale = NumberFormat::kF8E8M0;  ///< FP8: what its scales are stored in; F32 in the Base releases

  bool operator==(const StoredFormat&) const = default;
};

/// Whether values lie in groups of inputs, [..., groups, inputs of a group]; else a row is in one piece.
bool is_grouped(const StoredFormat& format);
/// Inputs of a row of `columns` that share a scale; 0: it has no scales.
int64_t scale_columns(const StoredFormat& format, int64_t columns);
/// What the scales are stored in.
NumberFormat scale_type(const StoredFormat& format);

/// By checkpoint tensor name (DeepSeek's), or by row_group_name(name, 0), (name, 1) and so on where equal groups of a tensor's rows are kept in different
/// formats. A tensor that is not listed is kept exactly.
using StoredFormats = std::map<std::string, StoredFormat>;

/// "X.weight/rows.2": the name of equal parts of a matrix's rows that are stored one by one.
std::string row_group_name(const std::string& matrix, int64_t index);
/// "X.weight" of it; a name of no row group as it is.
std::string matrix_of_row_group(const std::string& name);

/// "f16", "u8" (a scale a row), "u4 in groups of 32", "f8e4m3 in blocks of 128 x 128".
std::string stored_format_name(const StoredFormat& format);
/// The same with its scales, for tables: "u4, groups of 128", "u8, a scale a row", "f4e2m1, e8m0 scales of 32", "f8e4m3, f8e8m0 scales of 128 x 128".
std::string describe(const StoredFormat& format);

}  // namespace dsv4
