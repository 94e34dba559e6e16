// How a converted model keeps a weight: its element type and the inputs that share a scale.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace dsv4 {

enum class StoredType {
  kF32,
  kF16,
  kU8,      ///< 256 levels with a zero point, float16 scale
  kI8,      ///< -128..127, float16 scale of either sign
  kU4,      ///< 16 levels with a zero point, float16 scale
  kI4,      ///< -8..7, float16 scale of either sign
  kF4E2M1,  ///< the checkpoint's own FP4 codes and E8M0 scales: nothing is rounded
};

struct StoredFormat {
  StoredType type = StoredType::kF32;
  int64_t group_size = -1;  ///< integer types: inputs of a row that share a scale; -1: the whole row

  bool operator==(const StoredFormat&) const = default;
};

/// By checkpoint tensor name (DeepSeek's), or by stored_row_group(name, 0), (name, 1) and so on where equal groups of a tensor's rows are kept in different
/// formats. A tensor that is not listed is kept exactly.
using StoredFormats = std::map<std::string, StoredFormat>;

/// "X.weight/rows.2"
std::string stored_row_group(const std::string& tensor, int64_t index);
/// "X.weight" of it; a name of no row group as it is.
std::string tensor_of_row_group(const std::string& name);

/// "f16", "u8" (a scale a row), "u4 in groups of 32".
std::string stored_format_name(const StoredFormat& format);

}  // namespace dsv4
