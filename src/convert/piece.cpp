// Rows of a checkpoint tensor into their stored form.
#include "convert/piece.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "checkpoint/dequantize.h"
#include "checkpoint/quote.h"
#include "dsv4/error.h"
#include "quantize/compress.h"

namespace dsv4 {

namespace {

using Kind = StoredForm::Kind;

constexpr float kMaxF16 = 65504.0f;
constexpr uint64_t kAheadBytes = 8 << 20;  // of the same tensor, read while a piece is converted

// "SHARD: tensor "NAME"": the start of every message about what it holds.
std::string where(const Checkpoint& checkpoint, const Piece& piece) {
  const TensorView& view = checkpoint.stored(piece.part->tensor);
  const std::string stored = view.stored_name == piece.part->tensor ? "" : concat(" (", view.stored_name, ")");
  return concat(path_text(view.file->path()), ": tensor ", piece.part->tensor, excerpt(stored));
}

// Error for values beyond `limit`. The largest magnitude of all is found first, as integers, which vectorises (those of infinity and NaN are the
// largest); the culprit is looked for only if there is one.
void check_values(const Checkpoint& checkpoint, const Piece& piece, const std::vector<float>& values, float limit) {
  uint32_t largest = 0;
  for (const float value : values) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu);
  if (largest <= std::bit_cast<uint32_t>(limit)) return;
  const float culprit = *std::find_if(values.begin(), values.end(), [&](float value) { return !(std::fabs(value) <= limit); });
  const std::string tensor = where(checkpoint, piece);
  if (!std::isfinite(culprit)) fail(tensor, " holds ", culprit, ", which is no weight; the checkpoint is damaged");
  fail(tensor, " holds ", culprit, ", which float16 cannot; convert with --weight-format fp32");
}

// Scales of integers are stored in float16.
void check_scales(const Checkpoint& checkpoint, const Piece& piece, const std::vector<uint16_t>& scales) {
  bool finite = true;
  for (const uint16_t bits : scales) finite &= (bits & 0x7C00u) != 0x7C00u;
  if (!finite)
    fail(where(checkpoint, piece), " has values so large that their scale does not fit float16; convert with --weight-format fp32");
}

// Published FP4 as it is: nibbles and E8M0 scales, byte for byte.
void copy_fp4(const Checkpoint& checkpoint, const Piece& piece, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const TensorView& codes = checkpoint.stored(piece.part->tensor);
  const TensorView* scales = checkpoint.scale(piece.part->tensor);
  if (codes.dtype != DType::kI8 || !scales || scales->dtype != DType::kF8E8M0) {
    fail("tensor ", piece.part->tensor, " is not published in FP4 with E8M0 scales; this is a mistake in dsv4");
  }
  const auto rows_of = [&](const TensorView& view) {
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(view.shape[0]);
    return view.bytes.subspan(static_cast<size_t>(piece.row_begin) * row_bytes, static_cast<size_t>(piece.rows()) * row_bytes);
  };
  const std::span<const std::byte> code_rows = rows_of(codes), scale_rows = rows_of(*scales);
  constexpr std::byte kNan{0xFF};
  if (std::find(scale_rows.begin(), scale_rows.end(), kNan) != scale_rows.end()) {
    fail(path_text(scales->file->path()), ": tensor ", excerpt(scales->stored_name),
         " holds a scale that is not a number; the checkpoint is damaged");
  }
  const uint64_t row = static_cast<uint64_t>(piece.weight_row);
  sink.write_at(w.values.offset + row * (code_rows.size() / static_cast<size_t>(piece.rows())), code_rows.data(), code_rows.size());
  sink.write_at(w.scales.offset + row * (scale_rows.size() / static_cast<size_t>(piece.rows())), scale_rows.data(), scale_rows.size());
}

void write_integers(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const int64_t rows = piece.rows(), columns = w.unit.columns(), groups = columns / w.group();
  const bool asymmetric = is_asymmetric(w.form.integer.mode), nibbles = bits_of(w.form.integer.mode) == 4;
  b.codes.resize(static_cast<size_t>(rows * columns));
  b.halves.resize(static_cast<size_t>(rows * groups));
  if (asymmetric) b.zero_points.resize(b.halves.size());
  compress_rows(b.values.data(), rows, columns, w.form.integer,
                {b.codes.data(), b.halves.data(), asymmetric ? b.zero_points.data() : nullptr});
  check_scales(checkpoint, piece, b.halves);

  const uint64_t first_code = static_cast<uint64_t>(piece.weight_row * columns),
                 first_group = static_cast<uint64_t>(piece.weight_row * groups);
  const auto put = [&](uint64_t offset, uint64_t first, const std::vector<uint8_t>& values) {
    if (nibbles) {
      sink.write_nibbles(offset, first, values.data(), values.size());
    } else {
      sink.write_at(offset + first, values.data(), values.size());
    }
  };
  put(w.values.offset, first_code, b.codes);
  if (asymmetric) put(w.zero_points.offset, first_group, b.zero_points);
  sink.write_at(w.scales.offset + 2 * first_group, b.halves.data(), 2 * b.halves.size());
}

}  // namespace

uint64_t written_bytes(const Piece& piece) {
  const PlannedWeight& w = *piece.weight;
  return w.bytes() * static_cast<uint64_t>(piece.rows()) / static_cast<uint64_t>(w.unit.rows());
}

uint64_t source_bytes(const Checkpoint& checkpoint, const Piece& piece) {
  const Shape shape = checkpoint.shape(piece.part->tensor);
  const uint64_t rows = shape.size() < 2 ? 1 : static_cast<uint64_t>(shape[0]);
  return checkpoint.stored(piece.part->tensor).bytes.size() / rows * static_cast<uint64_t>(piece.rows());
}

std::array<PieceSource, 2> piece_sources(const Checkpoint& checkpoint, const Piece& piece) {
  const std::string& tensor = piece.part->tensor;
  const Shape shape = checkpoint.shape(tensor);
  const int64_t rows = shape.size() < 2 ? 1 : shape[0];
  const auto rows_of = [](const TensorView& view, int64_t all, int64_t begin, int64_t end) {
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(all);
    return PieceSource{view.file, view.bytes.subspan(static_cast<size_t>(begin) * row_bytes, static_cast<size_t>(end - begin) * row_bytes)};
  };
  std::array<PieceSource, 2> sources = {rows_of(checkpoint.stored(tensor), rows, piece.row_begin, piece.row_end), PieceSource{}};
  if (const TensorView* scale = checkpoint.scale(tensor)) {
    const int64_t block = scale->shape[0] == rows ? 1 : checkpoint.config().fp8_block_rows;  // rows that share a scale
    sources[1] = rows_of(*scale, scale->shape[0], piece.row_begin / block, std::min((piece.row_end + block - 1) / block, scale->shape[0]));
  }
  return sources;
}

void read_ahead(const Checkpoint& checkpoint, const Piece& piece) {
  const TensorView& view = checkpoint.stored(piece.part->tensor);
  const uint64_t row_bytes = source_bytes(checkpoint, piece) / static_cast<uint64_t>(piece.rows());
  const uint64_t end = static_cast<uint64_t>(piece.row_end) * row_bytes;
  view.file->prefetch(view.bytes.subspan(end, std::min(kAheadBytes, view.bytes.size() - end)));
}

void read_piece(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b) {
  b.values.resize(static_cast<size_t>(piece.rows() * piece.weight->unit.columns()));
  checkpoint.read_rows(piece.part->tensor, piece.row_begin, piece.row_end, b.values.data());
  check_values(checkpoint, piece, b.values, piece.weight->form.kind == Kind::kF16 ? kMaxF16 : std::numeric_limits<float>::max());
}

void convert_piece(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const uint64_t first = static_cast<uint64_t>(piece.weight_row * w.unit.columns());
  switch (w.form.kind) {
    case Kind::kI32: {  // expert ids: small tables, whole at once
      const std::vector<int64_t> ids = checkpoint.read_i64(piece.part->tensor);
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(piece.row_begin * w.unit.columns());
      const std::vector<int32_t> narrow(begin, begin + static_cast<std::ptrdiff_t>(piece.rows() * w.unit.columns()));
      sink.write_at(w.values.offset + 4 * first, narrow.data(), 4 * narrow.size());
      return;
    }
    case Kind::kMxfp4:
      copy_fp4(checkpoint, piece, sink);
      return;
    case Kind::kF32:
      read_piece(checkpoint, piece, b);
      sink.write_at(w.values.offset + 4 * first, b.values.data(), 4 * b.values.size());
      return;
    case Kind::kF16:
      read_piece(checkpoint, piece, b);
      b.halves.resize(b.values.size());
      f32_to_f16_row(b.values.data(), static_cast<int64_t>(b.values.size()), b.halves.data());
      sink.write_at(w.values.offset + 2 * first, b.halves.data(), 2 * b.halves.size());
      return;
    case Kind::kInteger:
      read_piece(checkpoint, piece, b);
      write_integers(checkpoint, piece, b, sink);
      return;
  }
}

}  // namespace dsv4
