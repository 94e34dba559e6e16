// A piece of work of the converter: some rows of one part of a weight, read, converted and written at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/bin_file.h"
#include "convert/plan.h"

namespace dsv4 {

struct Piece {
  const PlannedWeight* weight = nullptr;
  const WeightPart* part = nullptr;
  int64_t row_begin = 0;  ///< of the checkpoint tensor
  int64_t row_end = 0;
  int64_t weight_row = 0;  ///< row of the weight, all its dims but the last taken together, that row_begin becomes

  int64_t rows() const { return row_end - row_begin; }
};

/// What one thread works with.
struct PieceBuffers {
  std::vector<float> values;
  std::vector<uint8_t> codes, zero_points;  // of mxfp4: two codes a byte, E8M0 scales
  std::vector<uint16_t> halves;
};

/// "SHARD: tensor NAME": the start of every message about what it holds.
std::string source_name(const Checkpoint& checkpoint, const Piece& piece);

/// Bytes of the .bin that the piece becomes.
uint64_t written_bytes(const Piece& piece);
/// Bytes of the checkpoint that it is made from; scales and zero points not counted.
uint64_t source_bytes(const Checkpoint& checkpoint, const Piece& piece);

/// Bytes of one shard that a piece is made from.
struct PieceSource {
  const SafetensorsFile* file = nullptr;  ///< nullptr: none
  std::span<const std::byte> bytes;
};
/// The piece's rows of its tensor, and the rows of the scales and zero points that belong to them.
std::array<PieceSource, 4> piece_sources(const Checkpoint& checkpoint, const Piece& piece);

/// Begins to read what comes after the piece in its tensor: threads that hop through a mapped file defeat the kernel's own read-ahead.
void read_ahead(const Checkpoint& checkpoint, const Piece& piece);

/// Reads, converts and writes. Error for values that are no numbers, or that the weight's form cannot hold.
void convert_piece(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& buffers, PieceSink& sink);

/// Reads the piece's values as float32 into buffers.values; Error for values that are no numbers.
void read_piece(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& buffers);

}  // namespace dsv4
