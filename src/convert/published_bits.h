// Weights that keep their published bits: which format each has then, and how its bytes get from the checkpoint into the .bin.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/piece.h"
#include "convert/selection.h"

namespace dsv4 {

/// --weight-format published: for each unit the format in which nothing of it is rounded. FP4 experts as f4e2m1, FP8 as f8e4m3 with its own scales, BF16, F16 and F32
/// as they are; norms and the other small vectors as f32. Blocks of FP8 are the largest ones that divide the matrix and lie in one published block: 128 x 128
/// wherever the dims are multiples of it. Error that says what to take instead for experts in another form, and for a stack whose experts differ.
std::vector<StoredFormat> published_forms(const Checkpoint& checkpoint, const std::vector<WeightUnit>& units);

/// Published FP4 as it is, nibbles and E8M0 scales byte for byte; NVFP4 whose scales are powers of two with the scale of both halves of 32 inputs as E8M0.
void copy_fp4(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& buffers, PieceSink& sink);
/// Published FP8: codes byte for byte, and the scales of the blocks that begin in the piece. Error for a NaN, and for a scale of 2^120 or more.
void copy_fp8(const Checkpoint& checkpoint, const Piece& piece, PieceSink& sink);
/// Values byte for byte.
void copy_values(const Checkpoint& checkpoint, const Piece& piece, PieceSink& sink);

}  // namespace dsv4
