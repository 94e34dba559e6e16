// NNCF's data-free weight compression: rows of float32 become integers, zero points and f16 scales, bit for bit as nncf.compress_weights makes them.
#pragma once

#include <cstdint>

#include "formats/stored_format.h"

namespace dsv4 {

/// Where compress_rows writes; row-major like the weights, groups = columns / group size.
struct CompressedRows {
  uint8_t* codes =
      nullptr;  ///< [rows, columns], a byte each; 4-bit codes in the low nibble, symmetric ones in two's complement (i4: & 0xF)
  uint16_t* scales = nullptr;      ///< [rows, groups], the bits of float16
  uint8_t* zero_points = nullptr;  ///< [rows, groups], a byte each; not written in symmetric modes
};

/// weights [rows, columns], finite; into u8 or u4 (levels from 0, with a zero point), i8 or i4 (both signs; the scale may be negative). Source: NNCF 3.4.0 (zero is forced into the range in asymmetric modes), IEEE float32 with true division.
void compress_rows(const float* weights, int64_t rows, int64_t columns, const StoredFormat& how, const CompressedRows& out);

/// Two codes a byte, even index in the low nibble; an odd count leaves the last high nibble 0. `packed` holds (count + 1) / 2 bytes.
void pack_nibbles(const uint8_t* codes, int64_t count, uint8_t* packed);

/// For each row the mean squared error of INT8_ASYM over the whole row with the float32 scale: what NNCF's data-free sensitivity is made of.
void int8_row_errors(const float* weights, int64_t rows, int64_t columns, float* errors);

}  // namespace dsv4
