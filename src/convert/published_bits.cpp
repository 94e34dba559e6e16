// NumberFormat bits as they are.
#include "convert/published_bits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "checkpoint/quote.h"
#include "checkpoint/scales.h"
#include "checkpoint/weight_form.h"
#include "convert/nvfp4_as_mxfp4.h"
#include "dsv4/error.h"

namespace dsv4 {

namespace {

// Kernels take 2^8 of an FP8 value for its scale's sake (ops/matrix/simd-inl.h); no weight of 448 times this is a number that anything can be multiplied with.
constexpr float kLargestScale = 0x1p119f;

std::span<const std::byte> rows_of(const TensorView& view, const Piece& piece) {
  const int64_t rows = view.shape.size() < 2 ? 1 : view.shape[0];
  const size_t row_bytes = view.bytes.size() / static_cast<size_t>(rows);
  return view.bytes.subspan(static_cast<size_t>(piece.row_begin) * row_bytes, static_cast<size_t>(piece.rows()) * row_bytes);
}

void write_mxfp4(const Piece& piece, std::span<const std::byte> codes, std::span<const std::byte> scales, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const uint64_t row = static_cast<uint64_t>(piece.weight_row);
  const size_t rows = static_cast<size_t>(piece.rows());
  sink.write_at(w.values.offset + row * (codes.size() / rows), codes.data(), codes.size());
  sink.write_at(w.scales.offset + row * (scales.size() / rows), scales.data(), scales.size());
}

NumberFormat fp8_scale_type(const TensorView& scale) { return scale.dtype == DType::kF8E8M0 ? NumberFormat::kF8E8M0 : NumberFormat::kF32; }

// The format of a part alone, with the blocks of its tensor.
StoredFormat published_form(const Checkpoint& checkpoint, const std::string& tensor, bool experts) {
  switch (checkpoint.encoding(tensor)) {
    case Encoding::kFp8:
      return {NumberFormat::kF8E4M3, checkpoint.scale_cols(tensor), checkpoint.scale_rows(tensor),
              fp8_scale_type(*checkpoint.scale(tensor))};
    case Encoding::kFp4:
      return {NumberFormat::kF4E2M1};
    case Encoding::kBf16:
      return {NumberFormat::kBF16};
    case Encoding::kF16:
      return {NumberFormat::kF16};
    case Encoding::kF32:
      return {NumberFormat::kF32};
    case Encoding::kI64:
      return {NumberFormat::kI32};
    case Encoding::kNvfp4:
    case Encoding::kInt4:
      break;
  }
  const bool nvfp4 = checkpoint.encoding(tensor) == Encoding::kNvfp4;
  fail("--weight-format published keeps DeepSeek's own FP8, FP4 and BF16, but ", tensor, " is published in ",
       encoding_name(checkpoint.encoding(tensor)), "; choose ", nvfp4 && experts ? "mxfp4 or int4" : "int4, int8 or fp32");
}

// The largest blocks that divide the unit and lie in one part and in one published block each.
StoredFormat of_unit(StoredFormat form, const WeightUnit& unit) {
  if (form.type != NumberFormat::kF8E4M3) return form;
  form.group_size = form.group_size >= unit.columns() ? unit.columns() : std::gcd(form.group_size, unit.columns());
  const int64_t published = form.group_rows;
  int64_t block = 0, at = 0;  // the row of the unit at which a part begins
  for (const WeightPart& part : unit.parts) {
    const int64_t rows = part.row_end - part.row_begin;
    block = std::gcd(std::gcd(block, rows), at);
    const int64_t border = (part.row_begin / published + 1) * published;  // the first one between published blocks
    if (border < part.row_end) block = std::gcd(block, border - part.row_begin);
    if (border + published < part.row_end) block = std::gcd(block, published);
    at += rows;
  }
  form.group_rows = block;
  return form;
}

}  // namespace

std::vector<StoredFormat> published_forms(const Checkpoint& checkpoint, const std::vector<WeightUnit>& units) {
  std::vector<StoredFormat> forms;
  for (const WeightUnit& unit : units) {
    if (unit.use == WeightUse::kExact || unit.use == WeightUse::kExpertIds) {
      forms.push_back({unit.use == WeightUse::kExact ? NumberFormat::kF32 : NumberFormat::kI32});
      continue;
    }
    const bool experts = unit.use == WeightUse::kExperts;
    const StoredFormat first = published_form(checkpoint, unit.parts.front().tensor, experts);
    for (const WeightPart& part : unit.parts) {
      if (const StoredFormat form = published_form(checkpoint, part.tensor, experts); form != first) {
        fail("--weight-format published keeps all experts of a layer in one form, but ", unit.parts.front().tensor, " is published as ",
             describe(first), " and ", part.tensor, " as ", describe(form), "; choose int4, int8 or fp32");
      }
    }
    forms.push_back(of_unit(first, unit));
  }
  return forms;
}

void copy_fp4(const Checkpoint& checkpoint, const Piece& piece, PieceBuffers& b, PieceSink& sink) {
  const std::string& tensor = piece.part->tensor;
  if (checkpoint.encoding(tensor) == Encoding::kNvfp4) {
    nvfp4_as_mxfp4(checkpoint, *piece.part, piece.row_begin, piece.row_end, b.codes, b.zero_points);
    return write_mxfp4(piece, std::as_bytes(std::span(b.codes)), std::as_bytes(std::span(b.zero_points)), sink);
  }
  const TensorView& codes = checkpoint.stored(tensor);
  const TensorView* scales = checkpoint.scale(tensor);
  if (codes.dtype != DType::kI8 || !scales || scales->dtype != DType::kF8E8M0) {
    fail("tensor ", tensor, " is not published in FP4 with E8M0 scales; this is a mistake in dsv4");
  }
  const std::span<const std::byte> scale_rows = rows_of(*scales, piece);
  constexpr std::byte kNan{0xFF};
  if (std::find(scale_rows.begin(), scale_rows.end(), kNan) != scale_rows.end()) {
    fail(path_text(scales->file->path()), ": tensor ", excerpt(scales->stored_name),
         " holds a scale that is not a number; the checkpoint is damaged");
  }
  write_mxfp4(piece, rows_of(codes, piece), scale_rows, sink);
}

void copy_fp8(const Checkpoint& checkpoint, const Piece& piece, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const TensorView& view = checkpoint.stored(piece.part->tensor);
  const TensorView& scale = *checkpoint.scale(piece.part->tensor);
  const std::span<const std::byte> codes = rows_of(view, piece);
  const bool numbers = std::none_of(codes.begin(), codes.end(), [](std::byte code) { return (code & std::byte{0x7F}) == std::byte{0x7F}; });
  if (!numbers) fail(source_name(checkpoint, piece), " holds nan, which is no weight; the checkpoint is damaged");
  sink.write_at(w.values.offset + static_cast<uint64_t>(piece.weight_row * w.unit.columns()), codes.data(), codes.size());

  const int64_t block_rows = w.form.group_rows, groups = w.unit.columns() / w.form.group_size;
  const int64_t published_rows = checkpoint.scale_rows(piece.part->tensor), published_cols = checkpoint.scale_cols(piece.part->tensor);
  const int64_t first = (piece.weight_row + block_rows - 1) / block_rows;
  const int64_t end = (piece.weight_row + piece.rows() + block_rows - 1) / block_rows;
  const bool bytes = w.form.fp8_scale == NumberFormat::kF8E8M0;
  std::vector<float> published, values;
  std::vector<std::byte> exponents;
  for (int64_t block = first; block < end; ++block) {
    const int64_t row = (piece.row_begin + block * block_rows - piece.weight_row) / published_rows;
    decode_scale_row(scale, row, published);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t col = g * w.form.group_size / published_cols;
      const float value = published[static_cast<size_t>(col)];
      if (!(std::fabs(value) <= kLargestScale)) {
        fail(path_text(scale.file->path()), ": tensor ", excerpt(scale.stored_name), " holds ", value,
             ", which is no scale; the checkpoint is damaged");
      }
      if (bytes) {
        exponents.push_back(scale.bytes[static_cast<size_t>(row * scale.shape[1] + col)]);
      } else {
        values.push_back(value);
      }
    }
  }
  const auto at = static_cast<uint64_t>(first * groups);
  if (bytes) {
    sink.write_at(w.scales.offset + at, exponents.data(), exponents.size());
  } else {
    sink.write_at(w.scales.offset + 4 * at, values.data(), 4 * values.size());
  }
}

void copy_values(const Checkpoint& checkpoint, const Piece& piece, PieceSink& sink) {
  const PlannedWeight& w = *piece.weight;
  const std::span<const std::byte> values = rows_of(checkpoint.stored(piece.part->tensor), piece);
  sink.write_at(w.values.offset + static_cast<uint64_t>(bytes_of(w.form.type, piece.weight_row * w.unit.columns())), values.data(),
                values.size());
}

}  // namespace dsv4
