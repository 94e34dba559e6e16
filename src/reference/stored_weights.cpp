// Rounding of weights by definition, group by group: what a converted model computes with, without any of its graph.
#include "reference/stored_weights.h"

#include <algorithm>
#include <cmath>

#include "dsv4/error.h"
#include "formats/numbers.h"

namespace dsv4::reference {
namespace {

constexpr float kSmallestScale = 0x1p-23f;  // scales below are replaced by it

/// NNCF's rule against division by almost nothing.
float usable(float scale) { return std::fabs(scale) < kSmallestScale ? kSmallestScale : scale; }

/// Half to even, in the default rounding mode.
float round_half_even(float x) { return std::nearbyint(x); }

float through_f16(const std::string& name, float x) {
  const float rounded = f16_to_f32(f32_to_f16(x));
  if (!std::isfinite(rounded)) fail(name, ": ", x, " does not fit float16 (largest 65504); keep this tensor in f32");
  return rounded;
}

/// Levels 0..levels-1 over a range that always holds zero; the zero point is one of the levels.
void round_asymmetric(const std::string& name, int levels, std::span<float> group) {
  float least = 0.0f, largest = 0.0f;
  for (const float w : group) {
    least = std::min(least, w);
    largest = std::max(largest, w);
  }
  const float top = static_cast<float>(levels - 1);
  const float scale = usable((largest - least) / top);
  const float zero_point = std::clamp(-round_half_even(least / scale), 0.0f, top);
  const float stored_scale = through_f16(name, scale);
  for (float& w : group) {
    const float q = std::clamp(round_half_even(w / scale + zero_point), 0.0f, top);
    w = (q - zero_point) * stored_scale;
  }
}

/// Levels -half..half-1. The side that reaches further takes the end -half, so that a scale is negative where that side is the positive one.
void round_symmetric(const std::string& name, int levels, std::span<float> group) {
  const float half = 0.5f * static_cast<float>(levels);
  const auto [least, largest] = std::minmax_element(group.begin(), group.end());
  const float reach = std::fabs(*least);
  const float scale = usable((reach >= *largest ? reach : -*largest) / half);
  const float stored_scale = through_f16(name, scale);
  for (float& w : group) {
    const float q = std::clamp(round_half_even(w / scale), -half, half - 1.0f);
    w = q * stored_scale;
  }
}

int64_t group_length(const std::string& name, const StoredFormat& format, int64_t columns) {
  if (!is_integer_code(format.type) || format.group_size == -1) return columns;
  if (format.group_size < 1 || columns % format.group_size != 0) {
    fail(name, ": ", stored_format_name(format), ", but its rows have ", columns, " values, expected a multiple of the group size");
  }
  return format.group_size;
}

/// Whether nothing is rounded when a weight of this encoding is stored in a published type; true for all others.
bool keeps_bits_of(NumberFormat type, Encoding encoding) {
  switch (type) {
    case NumberFormat::kF4E2M1:
      return encoding == Encoding::kFp4 || encoding == Encoding::kNvfp4;
    case NumberFormat::kF8E4M3:
      return encoding == Encoding::kFp8;
    case NumberFormat::kBF16:
      return encoding == Encoding::kBf16;
    default:
      return true;
  }
}

const char* published_name(NumberFormat type) {
  return type == NumberFormat::kF4E2M1 ? "FP4" : type == NumberFormat::kF8E4M3 ? "FP8" : "BF16";
}

}  // namespace

void round_as_stored(const std::string& name, const StoredFormat& format, int64_t columns, std::span<float> values) {
  const auto each_group = [&](auto round, int levels) {
    const auto length = static_cast<size_t>(group_length(name, format, columns));
    for (size_t begin = 0; begin < values.size(); begin += length) round(name, levels, values.subspan(begin, length));
  };
  switch (format.type) {
    case NumberFormat::kF32:
    case NumberFormat::kF4E2M1:  // published bits: nothing is rounded
    case NumberFormat::kF8E4M3:
    case NumberFormat::kBF16:
      return;
    case NumberFormat::kF16:
      for (float& w : values) w = through_f16(name, w);
      return;
    case NumberFormat::kU8:
      return each_group(round_asymmetric, 256);
    case NumberFormat::kU4:
      return each_group(round_asymmetric, 16);
    case NumberFormat::kI8:
      return each_group(round_symmetric, 256);
    case NumberFormat::kI4:
      return each_group(round_symmetric, 16);
    default:
      fail(name, ": ", name_of(format.type), " holds no weights; this is a mistake in dsv4");
  }
}

StoredWeights::StoredWeights(const Checkpoint& checkpoint, const StoredFormats& formats) : checkpoint_(checkpoint), formats_(formats) {
  for (const auto& [key, format] : formats) {
    const std::string name = matrix_of_row_group(key);
    group_length(name, format, checkpoint.shape(name).back());
    if (!keeps_bits_of(format.type, checkpoint.encoding(name))) {
      fail(name, ": ", name_of(format.type), " is for what the checkpoint publishes in ", published_name(format.type),
           ", and this tensor is not; the model was made from another checkpoint");
    }
  }
}

void StoredWeights::round(const std::string& name, int64_t first_row, int64_t columns, std::span<float> values) const {
  const auto found = formats_.find(name);
  if (found != formats_.end()) return round_as_stored(name, found->second, columns, values);
  int64_t groups = 0;
  while (formats_.contains(row_group_name(name, groups))) ++groups;
  if (groups == 0) return;
  const int64_t all_rows = checkpoint_.shape(name)[0];
  if (all_rows % groups != 0) fail(name, ": ", all_rows, " rows in ", groups, " groups; the model was made from another checkpoint");
  const int64_t group_rows = all_rows / groups, rows = static_cast<int64_t>(values.size()) / columns;
  for (int64_t row = 0; row < rows;) {
    const int64_t group = (first_row + row) / group_rows;
    const int64_t end = std::min(rows, (group + 1) * group_rows - first_row);
    const auto part = values.subspan(static_cast<size_t>(row * columns), static_cast<size_t>((end - row) * columns));
    round_as_stored(name, formats_.at(row_group_name(name, group)), columns, part);
    row = end;
  }
}

Matrix StoredWeights::matrix(const std::string& name) const {
  const Shape shape = checkpoint_.shape(name);
  Matrix m;
  m.rows = shape.size() < 2 ? 1 : shape[0];
  m.cols = shape.back();
  m.values = checkpoint_.read(name);
  checkpoint_.release(name);
  round(name, 0, m.cols, m.values);
  return m;
}

std::vector<float> StoredWeights::vector(const std::string& name) const { return matrix(name).values; }

void StoredWeights::rows(const std::string& name, int64_t begin, int64_t end, float* out) const {
  checkpoint_.read_rows(name, begin, end, out);
  const int64_t columns = checkpoint_.shape(name).back();
  round(name, begin, columns, {out, static_cast<size_t>((end - begin) * columns)});
}

}  // namespace dsv4::reference
