// The element types of safetensors headers: those that weights of DeepSeek-V4 are stored in, and the others by their size alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// What uses a type is for the checkpoint; an entry of a header may have any.
enum class DType {
  kF8E4M3,  ///< "F8_E4M3": e4m3fn, no infinities; values of FP8 weights, scales of NVFP4 weights
  kF8E8M0,  ///< "F8_E8M0": a power of two, 2^(b-127); scales of FP8 and FP4 weights
  kF4,      ///< "F4": e2m1, two a byte, low nibble first; shapes count values
  kI8,      ///< "I8": bytes; two FP4 (e2m1) values each, low nibble first, as the releases store routed experts
  kU8,      ///< "U8": bytes, of whatever type the tool that wrote them did not have
  kBF16,    ///< "BF16"
  kF16,     ///< "F16"
  kF32,     ///< "F32"
  kI32,     ///< "I32": words of eight 4-bit codes; hash routing tables of some tools
  kI64,     ///< "I64": hash routing tables
  kBool,    // From here on: types that no weight has.
  kF6E2M3,
  kF6E3M2,
  kF8E5M2,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kU32,
  kF64,
  kU64,
  kC64,
  kUnknown,  ///< any other text; its size cannot be checked
};

using Shape = std::vector<int64_t>;

/// Bits of one element; 0 for kUnknown.
size_t dtype_bits(DType dtype);
/// Bytes of one element. Error for types of less than a byte or of unknown size.
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
