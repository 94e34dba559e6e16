// NVFP4 as MXFP4 where that loses nothing: the same e2m1 codes, an E8M0 scale for 32 of them instead of an E4M3 scale for 16 and a factor of all.
#pragma once

#include <cstdint>
#include <optional>

namespace dsv4 {

/// The exponent of a float32 that is a power of two; nothing for other numbers.
std::optional<int> power_of_two(float value);

/// A row of `groups` groups of 32 values. `codes`: 16 bytes a group, in place; `scales`: two E4M3 bytes a group; the factor of all is 2^exponent. Writes
/// an E8M0 byte a group. Values of zero need no scale of their own: codes under a scale of zero become zeros. Returns the first group that has two scales,
/// one that is no power of two or one beyond E8M0; nothing where all went well.
std::optional<int64_t> nvfp4_row_to_mxfp4(uint8_t* codes, const uint8_t* scales, int exponent, int64_t groups, uint8_t* e8m0);

}  // namespace dsv4
