// What multiply() is made of, for its files alone: leaf kernels of one thread, compiled for every instruction set and chosen at run time.
#pragma once

#include <cstdint>

#include "ops/matrix/multiply.h"

namespace dsv4::ops {

constexpr int64_t kPanelRows = 16;            ///< rows of weights that a GEMM kernel multiplies at once
constexpr int64_t kChunkColumns = 4096;       ///< columns that an int8 GEMM unpacks at once
constexpr int64_t kFloatChunkColumns = 1024;  ///< columns whose products are added up in one vector: float_dots-inl.h
constexpr int64_t kPieceRows = 64;            ///< most rows that a thread unpacks at once
// Rows that lie a power of two apart would compete for the same lines of the cache.
constexpr int64_t kUnpackedRow = kFloatChunkColumns + 16;  ///< floats from one row to the next that a float32 GEMM unpacks

// The arithmetic of an int8 product, the same for few tokens (gemv_int8) and for many (gemm_int8), so that a token's results have the same bits whatever else
// is in the call. Columns are taken in chunks of chunk_columns(), a chunk in blocks of kActivationBlock, whose dots of codes are exact integers:
//   sum[i]        = fma(dot[b] * x_scale[b], scale, sum[i])              i = b mod kSumLanes, in the order of b
//   correction[i] = fma(zero_point * scale, x_sum[s], correction[i])     i = s mod kSumLanes, segments s of segment_columns()
//   y of a chunk  = (tree(sum) - tree(correction)) * factor              where there is a correction, lane by lane before the tree
//   tree(v)       = (v[0] + v[1]) + (v[2] + v[3])
// and the chunks' y are added in their order. Zero points, scales and factor are those of CodeForm (codes-inl.h).
constexpr int64_t kSumLanes = 4;

/// Tokens of a GEMM, packed in tiles: tile i of n holds the tokens from tokens*i/n on, in every array its tokens innermost. Offsets are multiples of the
/// first token: what is in front of a tile has the same size for every token.
struct PackedTokens {
  int64_t tokens = 0;
  int64_t tiles = 0;
  int8_t* codes = nullptr;  ///< [cols/4, tile, 4]; for 4-bit weights of 8 columns first the four even ones, then the odd ones
  float* scales = nullptr;  ///< [blocks, tile]
  float* sums = nullptr;    ///< [segments, tile]
  float* values = nullptr;  ///< float32 GEMM: for each chunk of kFloatChunkColumns [tile, columns of the chunk]

  int64_t first(int64_t tile) const { return tokens * tile / tiles; }
};

/// Columns whose weights share a scale within a row and lie in one chunk.
int64_t segment_columns(const PackedMatrix& matrix);
/// Whole segments, at most kChunkColumns.
int64_t chunk_columns(const PackedMatrix& matrix);

/// sums of x's blocks over the columns of a segment: [tokens, segments], what zero points are multiplied with.
void sum_segments(const PackedMatrix& matrix, const Activations& x, float* sums);

/// Rows [begin, end) for each token. `sums` as sum_segments gives them, `records` as make_records does, null where record_bytes is 0.
void gemv_int8(const Product& product, const float* sums, const std::byte* records, int64_t begin, int64_t end);

/// Bytes a token that gemv_int8 wants for this matrix: x's codes and scales in the order in which a row is multiplied with them; 0: none. The same ones for
/// every matrix of as many columns with as many bits and the same chunks.
int64_t record_bytes(const PackedMatrix& matrix);
void make_records(const PackedMatrix& matrix, const Activations& x, std::byte* out);

/// Rows [begin, end) for each token, as gemm_float gives them to the bit.
void gemv_float(const Product& product, int64_t begin, int64_t end);

int64_t int8_tile_tokens();  ///< most tokens of a tile
int64_t float_tile_tokens();

/// Fills in one tile of `packed`.
void pack_int8_tile(const PackedMatrix& matrix, const Activations& x, const PackedTokens& packed, int64_t tile);
void pack_float_tile(const Activations& x, const PackedTokens& packed, int64_t tile);

/// Rows [begin, end), at most kPieceRows of them, for all tokens.
int64_t gemm_int8_buffer_bytes();
void gemm_int8(const Product& product, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer);
int64_t gemm_float_buffer_bytes();
void gemm_float(const Product& product, const PackedTokens& packed, int64_t begin, int64_t end, std::byte* buffer);

}  // namespace dsv4::ops
