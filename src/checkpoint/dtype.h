// The element types that DeepSeek-V4 releases use, as safetensors headers spell them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

enum class DType {
  kF8E4M3,  ///< "F8_E4M3": e4m3fn, no infinities; values of FP8 weights
  kF8E8M0,  ///< "F8_E8M0": a power of two, 2^(b-127); scales of FP8 and FP4 weights
  kI8,      ///< "I8": two FP4 (e2m1) values a byte, low nibble first; routed experts
  kBF16,    ///< "BF16"
  kF16,     ///< "F16"
  kF32,     ///< "F32"
  kI64,     ///< "I64": hash routing tables
};

using Shape = std::vector<int64_t>;

/// Bytes of one element.
size_t dtype_size(DType dtype);

/// The spelling in safetensors headers, e.g. "F8_E4M3".
std::string_view dtype_name(DType dtype);

/// The type of that spelling; nothing for any other text.
std::optional<DType> parse_dtype(std::string_view name);

/// "[a,b,c]".
std::string shape_string(const Shape& shape);

/// Product of the dims; the caller has checked that it fits (safetensors.cpp does).
int64_t element_count(const Shape& shape);

}  // namespace dsv4
