// Rows of a checkpoint tensor into their stored form.
#include "convert/piece.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "checkpoint/quote.h"
#include "convert/published_bits.h"
#include "dsv4/error.h"
#include "formats/dequantize.h"
#include "quantize/compress.h"

namespace dsv4 {

namespace {

constexpr float kMaxF16 = 65504.0f;
constexpr int64_t kZeroPointsPerWord = 8;
constexpr uint64_t kAheadBytes = 8 << 20;  // of the same tensor, read while a piece is converted

// Error for values beyond `limit`. The largest magnitude of all is found first, as integers, which vectorises (those of infinity and NaN are the
// largest); the culprit is looked for only if there is one.
void check_values(const Checkpoint& checkpoint, const Piece& piece, const std::vector<float>& values, float limit) {
  uint32_t largest = 0;
  for (const float value : values) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu);
  if (largest <= std::bit_cast<uint32_t>(limit)) return;
  const float culprit = *std::find_if(values.begin(), values.end(), [&](float value) { return !(std::fabs(value) <= limit); });
  const std::string tensor = source_name(checkpoint, piece);
  if (!std::isfinite(culprit)) fail(tensor, " holds ", culprit, ", which is no weight; the checkpoint is damaged");
  fail(tensor, " holds ", culprit, ", which float16 cannot; convert with --weight-format fp32");
}

// Scales of integers are stored in float16.
void check_scales(const Checkpoint& checkpoint, const Piece& piece, const std::vector<uint16_t>& scales) {
  bool finite = true;
  for (const uint16_t bits : scales) finite &= (bits & 0x7C00u) != 0x7C00u;
  if (!finite)
    fail(source_name(checkpoint, piece), " has values so large that their scale does not fit float16; convert with --weight-format fp32");
}

void write_integers(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const int64_t rows = piece.rows(), columns = w.unit.columns(), groups = columns / w.group();
  const bool asymmetric = is_asymmetric(w.form.type), nibbles = is_four_bits(w.form.type);
  b.codes.resize(static_cast<size_t>(rows * columns));
  b.halves.resize(static_cast<size_t>(rows * groups));
  if (asymmetric) b.zero_points.resize(b.halves.size());
  compress_rows(b.values.data(), rows, columns, w.form, {b.codes.data(), b.halves.data(), asymmetric ? b.zero_points.data() : nullptr});
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

std::string source_name(const Checkpoint& checkpoint, const Piece& piece) {
  const TensorView& view = checkpoint.stored(piece.part->tensor);
  const std::string stored = view.stored_name == piece.part->tensor ? "" : concat(" (", view.stored_name, ")");
  return concat(path_text(view.file->path()), ": tensor ", piece.part->tensor, excerpt(stored));
}

uint64_t written_bytes(const Piece& piece) {
  const PlannedWeight& w = *piece.weight;
  return w.bytes() * static_cast<uint64_t>(piece.rows()) / static_cast<uint64_t>(w.unit.rows());
}

uint64_t source_bytes(const Checkpoint& checkpoint, const Piece& piece) {
  const Shape shape = checkpoint.shape(piece.part->tensor);
  const uint64_t rows = shape.size() < 2 ? 1 : static_cast<uint64_t>(shape[0]);
  return checkpoint.stored(piece.part->tensor).bytes.size() / rows * static_cast<uint64_t>(piece.rows());
}

std::array<PieceSource, 4> piece_sources(const Checkpoint& checkpoint, const Piece& piece) {
  const std::string& tensor = piece.part->tensor;
  const Shape shape = checkpoint.shape(tensor);
  const int64_t rows = shape.size() < 2 ? 1 : shape[0];
  const auto rows_between = [](const TensorView& view, int64_t all, int64_t begin, int64_t end) {
    const size_t row_bytes = view.bytes.size() / static_cast<size_t>(all);
    return PieceSource{view.file, view.bytes.subspan(static_cast<size_t>(begin) * row_bytes, static_cast<size_t>(end - begin) * row_bytes)};
  };
  // Rows of a part of which one stands for `each` rows of the weight.
  const auto shared_rows = [&](const TensorView* part, int64_t each) {
    if (!part) return PieceSource{};
    const int64_t all = part->shape[0];
    return rows_between(*part, all, piece.row_begin / each, std::min((piece.row_end + each - 1) / each, all));
  };
  const TensorView *zero_point = checkpoint.zero_point(tensor), *global_scale = checkpoint.global_scale(tensor);
  const int64_t scale_rows = checkpoint.scale_rows(tensor);
  const int64_t zero_rows = zero_point && zero_point->dtype == DType::kI32 ? kZeroPointsPerWord * scale_rows : scale_rows;
  std::array<PieceSource, 4> sources = {rows_between(checkpoint.stored(tensor), rows, piece.row_begin, piece.row_end),
                                        shared_rows(checkpoint.scale(tensor), scale_rows), shared_rows(zero_point, zero_rows),
                                        PieceSource{}};
  if (global_scale) sources[3] = {global_scale->file, global_scale->bytes};
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
  check_values(checkpoint, piece, b.values, piece.weight->form.type == NumberFormat::kF16 ? kMaxF16 : std::numeric_limits<float>::max());
}

void convert_piece(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const uint64_t first = static_cast<uint64_t>(piece.weight_row * w.unit.columns());
  switch (w.form.type) {
    case NumberFormat::kI32: {  // expert ids: small tables, whole at once
      const std::vector<int64_t> ids = checkpoint.read_i64(piece.part->tensor);
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(piece.row_begin * w.unit.columns());
      const std::vector<int32_t> narrow(begin, begin + static_cast<std::ptrdiff_t>(piece.rows() * w.unit.columns()));
      sink.write_at(w.values.offset + 4 * first, narrow.data(), 4 * narrow.size());
      return;
    }
    case NumberFormat::kF4E2M1:
      return copy_fp4(checkpoint, piece, b, sink);
    case NumberFormat::kF8E4M3:
      return copy_fp8(checkpoint, piece, sink);
    case NumberFormat::kBF16:
      read_piece(checkpoint, piece, b);  // nothing but numbers
      return copy_values(checkpoint, piece, sink);
    case NumberFormat::kF32:
      read_piece(checkpoint, piece, b);
      sink.write_at(w.values.offset + 4 * first, b.values.data(), 4 * b.values.size());
      return;
    case NumberFormat::kF16:
      read_piece(checkpoint, piece, b);
      b.halves.resize(b.values.size());
      f32_to_f16_row(b.values.data(), static_cast<int64_t>(b.values.size()), b.halves.data());
      sink.write_at(w.values.offset + 2 * first, b.halves.data(), 2 * b.halves.size());
      return;
    default:  // integers
      read_piece(checkpoint, piece, b);
      return write_integers(checkpoint, piece, b, sink);
  }
}

}  // namespace dsv4
